// UringBuffers: the provided-buffer ring of one io_uring loop, from which the kernel takes a buffer per
// receive.
//
// Without it every idle connection would have to own a buffer.
//
// Owner:      UringLoop, by value.
// Home:       LOOP
// Invariants: 1. A buffer is either in the ring (kernel's), held by chunks, or freed.
//             2. About `target` buffers are in the ring; few, so that they stay in the processor's cache. The target
//                doubles when the kernel ran out and shrinks again when it no longer does. It does not grow for
//                bulk: what a turn receives others wait for.
// Bounds:     kBuffersMax buffers of kBufferBytes.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "io/chunk.h"

namespace penstock::io {

class UringBuffers final : public BufferSource {
 public:
  static constexpr std::uint32_t kBufferBytes = 16 * 1024;
  static constexpr std::uint32_t kBuffersMax = 16 * 1024;
  static constexpr std::uint16_t kGroup = 0;

  UringBuffers() = default;
  ~UringBuffers();
  base::Status start(io_uring& ring);
  void stop(io_uring& ring);

  // The buffer the kernel has filled with `size` bytes.
  Chunk take(std::uint16_t id, std::size_t size);
  void recycle(Buffer& buffer) noexcept override;
  // The kernel found the ring empty: provide more. False when the bound is reached.
  bool grow();
  // Makes recycled buffers visible to the kernel; once per turn.
  void publish();

 private:
  void provide(Buffer& buffer);
  bool provide_new();

  io_uring_buf_ring* ring_ = nullptr;
  std::vector<Buffer*> buffers_;         // by id; null: not allocated
  std::vector<std::uint16_t> free_ids_;  // ids without memory
  std::uint32_t target_ = 64;            // buffers wanted in the ring
  std::uint32_t provided_ = 0;           // buffers in the ring
  std::uint16_t unpublished_ = 0;
  std::uint32_t calm_turns_ = 0;
  std::size_t turn_bytes_ = 0;  // received since publish()
};

}  // namespace penstock::io
