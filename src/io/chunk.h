// Chunk: a slice of received bytes that several owners may hold without copying them.
//
// Bytes arrive in a Buffer of the worker, the session looks at them, and slices of the same Buffer are queued
// for sending. When the last slice is gone the Buffer returns to the place it came from.
//
// Owner:      whoever holds it; copying a Chunk adds an owner.
// Home:       LOOP (the count is not atomic: never hand a Chunk to another thread).
// Invariants: 1. A Chunk's bytes never change while it lives.
//             2. A Buffer is recycled exactly once, when its count reaches zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace penstock::io {

struct Buffer;

// Where buffers come from and return to: a loop's pool, or the heap.
class BufferSource {
 public:
  virtual void recycle(Buffer& buffer) noexcept = 0;

 protected:
  ~BufferSource() = default;
};

struct Buffer {
  BufferSource* source;
  std::uint32_t refs;
  std::uint32_t capacity;  // bytes
  std::uint32_t id;        // the source's own number for it
  std::uint8_t* data;
};

class Chunk {
 public:
  Chunk() = default;
  // Takes over one reference that the caller already counted.
  static Chunk adopt(Buffer& buffer, std::size_t offset, std::size_t size) {
    return Chunk(&buffer, buffer.data + offset, static_cast<std::uint32_t>(size));
  }
  // A copy on the heap, exactly as large as `bytes`.
  static Chunk copy_of(base::ByteView bytes);
  // A heap buffer of `capacity` bytes to be filled by the caller before anyone else sees it.
  static Chunk allocate(std::size_t capacity);

  Chunk(const Chunk& other) : buffer_(other.buffer_), data_(other.data_), size_(other.size_) {
    if (buffer_ != nullptr) ++buffer_->refs;
  }
  Chunk(Chunk&& other) noexcept
      : buffer_(std::exchange(other.buffer_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Chunk& operator=(Chunk other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Chunk() {
    if (buffer_ != nullptr && --buffer_->refs == 0) buffer_->source->recycle(*buffer_);
  }

  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  base::ByteView view() const { return {data_, size_}; }
  // The memory this chunk keeps alive, in bytes.
  std::size_t held() const { return buffer_ == nullptr ? 0 : buffer_->capacity; }
  // The writable bytes of a chunk fresh from allocate().
  std::uint8_t* fill() {
    PENSTOCK_ASSERT(buffer_ != nullptr && buffer_->refs == 1);
    return const_cast<std::uint8_t*>(data_);
  }

  Chunk slice(std::size_t offset, std::size_t size) const {
    PENSTOCK_ASSERT(offset + size <= size_);
    Chunk part(*this);
    part.data_ += offset;
    part.size_ = static_cast<std::uint32_t>(size);
    return part;
  }
  void remove_prefix(std::size_t count) {
    PENSTOCK_ASSERT(count <= size_);
    data_ += count;
    size_ -= static_cast<std::uint32_t>(count);
  }
  void truncate(std::size_t size) {
    PENSTOCK_ASSERT(size <= size_);
    size_ = static_cast<std::uint32_t>(size);
  }

 private:
  Chunk(Buffer* buffer, const std::uint8_t* data, std::uint32_t size)
      : buffer_(buffer), data_(data), size_(size) {}

  Buffer* buffer_ = nullptr;
  const std::uint8_t* data_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace penstock::io
