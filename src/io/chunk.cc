#include "io/chunk.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace penstock::io {

namespace {

class HeapSource final : public BufferSource {
 public:
  void recycle(Buffer& buffer) noexcept override { std::free(&buffer); }
};

HeapSource heap_source;

}  // namespace

Chunk Chunk::allocate(std::size_t capacity) {
  PENSTOCK_ASSERT(capacity <= UINT32_MAX);
  void* memory = std::malloc(sizeof(Buffer) + capacity);
  if (memory == nullptr) throw std::bad_alloc();
  auto* buffer = new (memory) Buffer{.source = &heap_source,
                                     .refs = 1,
                                     .capacity = static_cast<std::uint32_t>(capacity),
                                     .id = 0,
                                     .data = static_cast<std::uint8_t*>(memory) + sizeof(Buffer)};
  return adopt(*buffer, 0, capacity);
}

Chunk Chunk::copy_of(base::ByteView bytes) {
  Chunk chunk = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(chunk.fill(), bytes.data(), bytes.size());
  return chunk;
}

}  // namespace penstock::io
