// SendQueue: what one socket has yet to send, as chunks in order; empty queues own no memory.
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
    bytes_ += chunk.size();
    chunks_.push_back(std::move(chunk));
  }
  bool empty() const { return bytes_ == 0; }
  std::size_t bytes() const { return bytes_; }
  std::size_t chunk_count() const { return chunks_.size() - first_; }

  // Fills `out` with the first pieces; returns how many.
  std::size_t gather(std::span<iovec> out) const {
    std::size_t count = 0;
    for (std::size_t i = first_; i < chunks_.size() && count < out.size(); ++i, ++count) {
      out[count] = {const_cast<std::uint8_t*>(chunks_[i].data()), chunks_[i].size()};
    }
    return count;
  }

  // The first `count` bytes have been sent.
  void consume(std::size_t count) {
    PENSTOCK_ASSERT(count <= bytes_);
    bytes_ -= count;
    while (count > 0) {
      Chunk& front = chunks_[first_];
      if (count < front.size()) {
        front.remove_prefix(count);
        return;
      }
      count -= front.size();
      front = Chunk();
      ++first_;
    }
    if (bytes_ == 0) reset();
  }
  void clear() {
    bytes_ = 0;
    reset();
  }

 private:
  void reset() {
    first_ = 0;
    // A small vector is worth keeping only on connections in use; an idle one gives its memory back.
    std::vector<Chunk>().swap(chunks_);
  }
  std::vector<Chunk> chunks_;
  std::size_t first_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace penstock::io
