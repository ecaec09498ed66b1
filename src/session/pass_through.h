// PassThrough sends on the bytes of one received chunk, as they are, except where something is left out or
// put in.
//
// Neighbouring messages that pass untouched leave as one slice of the chunk they came in: no copy, one send.
//
// Owner: a function of the relay, on its stack. Home: LOOP.
#pragma once

#include "io/stream.h"
#include "pgwire/frame_scanner.h"

namespace penstock::session {

class PassThrough {
 public:
  PassThrough(io::Stream& to, const io::Chunk& chunk) : to_(to), chunk_(chunk) {}
  ~PassThrough() { flush(); }
  PassThrough(const PassThrough&) = delete;
  PassThrough& operator=(const PassThrough&) = delete;

  void pass(const pgwire::FrameScanner::Event& event) { pass(event.bytes, event.in_chunk); }
  // `in_chunk`: the bytes lie in the chunk.
  void pass(base::ByteView bytes, bool in_chunk) {
    if (!in_chunk) return insert(bytes);
    if (run_.data() != nullptr && run_.data() + run_.size() == bytes.data()) {
      run_ = {run_.data(), run_.size() + bytes.size()};
      return;
    }
    flush();
    run_ = bytes;
  }
  // Bytes of our own, in their place.
  void insert(base::ByteView bytes) {
    flush();
    to_.write(bytes);
  }
  void flush() {
    if (!run_.empty()) {
      to_.write(chunk_.slice(static_cast<std::size_t>(run_.data() - chunk_.data()), run_.size()));
    }
    run_ = {};
  }
  // Nothing more is to be sent (the stream may be gone).
  void forget() { run_ = {}; }

 private:
  io::Stream& to_;
  const io::Chunk& chunk_;
  base::ByteView run_{};
};

}  // namespace penstock::session
