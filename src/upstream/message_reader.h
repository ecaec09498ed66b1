// MessageReader lets a coroutine read a connection message by message, while it logs in.
//
// Owner:      the coroutine that logs in, by value.
// Home:       LOOP
// Invariants: what has been received and not read is handed on by release(), byte for byte.
// Waits:      message() and friends, until the message, the end of the connection or the deadline.
// Errors:     08006 when the peer closed or the deadline passed; 08P01 from the assembler.
// Bounds:     stops receiving while more than io::kUnsentHigh bytes wait to be read.
#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "base/error.h"
#include "io/loop.h"
#include "io/stream.h"
#include "pgwire/message.h"

namespace penstock::upstream {

// The message of the error when a deadline passed.
inline constexpr std::string_view kTimeoutExpired = "timeout expired";

class MessageReader final : private io::StreamSink {
 public:
  explicit MessageReader(io::StreamPtr stream, pgwire::MessageAssembler::Limits limits = {},
                         std::vector<io::Chunk> received = {});
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  enum class Want { kMessage, kStartupPacket, kByte, kPeek };
  class Reading;
  // The views in the result are good until the next read.
  Reading message(base::TimePoint deadline);
  Reading startup_packet(base::TimePoint deadline);  // body: the packet; type 0
  Reading byte(base::TimePoint deadline);            // type: the byte
  Reading peek(base::TimePoint deadline);            // type: the next byte, which stays

  io::Stream& stream() { return *stream_; }
  void write(const base::ByteWriter& bytes) { stream_->write(bytes.view()); }
  // Something has been received that nobody has read.
  bool has_more() const { return pending_bytes_ > 0; }
  // No more will come than what is here.
  bool has_ended() const { return end_.has_value(); }
  // Called when that happens, once; for those who wait for something else meanwhile. Empty: nobody does.
  void watch_end(std::function<void()> call) { on_ended_ = std::move(call); }
  // The other side has closed in an orderly way.
  bool closed_by_peer() const { return closed_by_peer_; }
  // The stream, and what was received behind the last message read. The reader is of no use afterwards.
  io::StreamPtr release(std::vector<io::Chunk>& received);

 private:
  friend class Reading;
  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;
  // The result, if it can be had from what is here.
  std::optional<base::Result<pgwire::Message>> take(Want want);

  io::StreamPtr stream_;
  pgwire::MessageAssembler assembler_;
  std::deque<io::Chunk> pending_;
  io::Chunk current_;  // keeps the memory behind the last result
  std::size_t pending_bytes_ = 0;
  bool paused_ = false;
  bool closed_by_peer_ = false;
  std::optional<base::Error> end_;
  std::function<void()> on_ended_;
  Reading* reading_ = nullptr;
};

class MessageReader::Reading {
 public:
  Reading(MessageReader& reader, Want want, base::TimePoint deadline)
      : reader_(reader), want_(want), deadline_(deadline) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading();
  bool await_ready();
  void await_suspend(std::coroutine_handle<> caller);
  base::Result<pgwire::Message> await_resume() { return std::move(*result_); }

 private:
  friend class MessageReader;
  void try_again();
  void on_deadline();

  MessageReader& reader_;
  Want want_;
  base::TimePoint deadline_;
  std::optional<base::Result<pgwire::Message>> result_;
  std::coroutine_handle<> caller_;
  io::Timer timer_ = io::Timer::calling<&Reading::on_deadline>(this);
};

}  // namespace penstock::upstream
