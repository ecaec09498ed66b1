#include "io/uring_buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace penstock::io {

namespace {

constexpr std::uint32_t kTargetMin = 64;
// When a turn has received so much, more buffers would only make turns longer; some milliseconds' worth.
constexpr std::size_t kTurnBytes = 2 * 1024 * 1024;
constexpr std::uint32_t kBulkTarget = 256;
constexpr std::uint32_t kCalmTurns = 4096;  // turns without shortage after which the target halves

}  // namespace

UringBuffers::~UringBuffers() {
  for (Buffer* buffer : buffers_) std::free(buffer);
}

base::Status UringBuffers::start(io_uring& ring) {
  const std::size_t bytes = kBuffersMax * sizeof(io_uring_buf);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) {
    return base::fail(base::errno_error(base::kOutOfMemory, "could not map a buffer ring", errno));
  }
  ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(ring_);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(ring_);
  registration.ring_entries = kBuffersMax;
  registration.bgid = kGroup;
  if (const int error = io_uring_register_buf_ring(&ring, &registration, 0); error != 0) {
    munmap(memory, bytes);
    ring_ = nullptr;
    return base::fail(base::errno_error(base::kFeatureNotSupported,
                                        "could not register a buffer ring with io_uring", -error));
  }
  buffers_.resize(kBuffersMax, nullptr);
  free_ids_.reserve(kBuffersMax);
  for (std::uint32_t id = kBuffersMax; id > 0; --id) free_ids_.push_back(static_cast<std::uint16_t>(id - 1));
  while (provided_ < target_ && provide_new()) {
  }
  publish();
  return {};
}

void UringBuffers::stop(io_uring& ring) {
  if (ring_ == nullptr) return;
  io_uring_unregister_buf_ring(&ring, kGroup);
  munmap(ring_, kBuffersMax * sizeof(io_uring_buf));
  ring_ = nullptr;
}

Chunk UringBuffers::take(std::uint16_t id, std::size_t size) {
  Buffer* buffer = buffers_[id];
  PENSTOCK_ASSERT(buffer != nullptr && buffer->refs == 0);
  --provided_;
  buffer->refs = 1;
  turn_bytes_ += size;
  // Keep the ring at its target even while received bytes are held for longer.
  if (provided_ < target_ / 2) provide_new();
  return Chunk::adopt(*buffer, 0, size);
}

void UringBuffers::recycle(Buffer& buffer) noexcept {
  if (ring_ == nullptr || provided_ >= target_) {
    buffers_[buffer.id] = nullptr;
    free_ids_.push_back(static_cast<std::uint16_t>(buffer.id));
    std::free(&buffer);
    return;
  }
  provide(buffer);
}

bool UringBuffers::grow() {
  calm_turns_ = 0;
  if (turn_bytes_ >= kTurnBytes) {
    target_ = std::max(kBulkTarget, target_ / 2);
  } else if (target_ < kBuffersMax / 2) {
    target_ *= 2;
  }
  bool any = provided_ > 0;
  while (provided_ < target_ && provide_new()) any = true;
  publish();
  return any;
}

void UringBuffers::publish() {
  turn_bytes_ = 0;
  if (unpublished_ > 0) {
    io_uring_buf_ring_advance(ring_, unpublished_);
    unpublished_ = 0;
  }
  if (++calm_turns_ >= kCalmTurns) {
    calm_turns_ = 0;
    if (target_ > kTargetMin) target_ /= 2;
  }
}

void UringBuffers::provide(Buffer& buffer) {
  io_uring_buf_ring_add(ring_, buffer.data, kBufferBytes, static_cast<unsigned short>(buffer.id),
                        io_uring_buf_ring_mask(kBuffersMax), unpublished_);
  ++unpublished_;
  ++provided_;
}

bool UringBuffers::provide_new() {
  if (free_ids_.empty()) return false;
  void* memory = std::malloc(sizeof(Buffer) + kBufferBytes);
  if (memory == nullptr) return false;
  const std::uint16_t id = free_ids_.back();
  free_ids_.pop_back();
  auto* buffer = new (memory) Buffer{.source = this,
                                     .refs = 0,
                                     .capacity = kBufferBytes,
                                     .id = id,
                                     .data = static_cast<std::uint8_t*>(memory) + sizeof(Buffer)};
  buffers_[id] = buffer;
  provide(*buffer);
  return true;
}

}  // namespace penstock::io
