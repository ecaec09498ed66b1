// SendQueue: what one socket has yet to send, as chunks in order; an empty queue owns no memory.
//
// Nearly always it is one chunk: that one has its place here and costs no allocation.
//
// Owner: a socket, by value. Home: LOOP.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

#include "io/chunk.h"

namespace penstock::io {

class SendQueue {
 public:
  void push(Chunk chunk) {
    const bool is_first = bytes_ == 0;
    bytes_ += chunk.size();
    if (is_first) {
      head_ = std::move(chunk);
    } else {
      rest_.push_back(std::move(chunk));
    }
  }
  bool empty() const { return bytes_ == 0; }
  std::size_t bytes() const { return bytes_; }
  std::size_t chunk_count() const { return empty() ? 0 : 1 + rest_.size() - next_; }

  // Fills `out` with the first pieces; returns how many.
  std::size_t gather(std::span<iovec> out) const {
    if (empty() || out.empty()) return 0;
    out[0] = piece(head_);
    std::size_t count = 1;
    for (std::size_t i = next_; i < rest_.size() && count < out.size(); ++i) out[count++] = piece(rest_[i]);
    return count;
  }

  // The first `count` bytes have been sent.
  void consume(std::size_t count) {
    PENSTOCK_ASSERT(count <= bytes_);
    bytes_ -= count;
    while (count >= head_.size() && bytes_ > 0) {
      count -= head_.size();
      head_ = std::move(rest_[next_++]);
    }
    if (bytes_ == 0) return reset();
    head_.remove_prefix(count);
  }
  void clear() {
    bytes_ = 0;
    reset();
  }

 private:
  static iovec piece(const Chunk& chunk) { return {const_cast<std::uint8_t*>(chunk.data()), chunk.size()}; }
  void reset() {
    next_ = 0;
    head_ = Chunk();
    if (rest_.capacity() > 0) std::vector<Chunk>().swap(rest_);
  }

  Chunk head_;  // empty only when all is
  std::vector<Chunk> rest_;
  std::size_t next_ = 0;  // in rest_
  std::size_t bytes_ = 0;
};

}  // namespace penstock::io
