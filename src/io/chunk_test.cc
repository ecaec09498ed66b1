#include "io/chunk.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "base/random.h"

namespace penstock::io {
namespace {

// A source that hands out its buffers and counts how each comes back.
class CountingSource final : public BufferSource {
 public:
  explicit CountingSource(std::size_t count) : recycled(count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      buffers_.push_back({.source = this, .refs = 0, .capacity = kCapacity, .id = i, .data = bytes_.data()});
    }
  }
  Chunk fill(std::uint32_t id) {
    buffers_[id].refs = 1;
    return Chunk::adopt(buffers_[id], 0, kCapacity);
  }
  void recycle(Buffer& buffer) noexcept override { ++recycled[buffer.id]; }

  static constexpr std::uint32_t kCapacity = 64;
  std::vector<int> recycled;

 private:
  std::array<std::uint8_t, kCapacity> bytes_{};
  std::deque<Buffer> buffers_;
};

std::string text_of(const Chunk& chunk) {
  return std::string(base::as_text(chunk.view()));
}

TEST(Chunk, EmptyByDefault) {
  const Chunk chunk;
  EXPECT_TRUE(chunk.empty());
  EXPECT_EQ(chunk.size(), 0U);
  EXPECT_EQ(chunk.held(), 0U);
  EXPECT_EQ(chunk.slice(0, 0).size(), 0U);
}

TEST(Chunk, CopiesBytesToTheHeap) {
  std::string text = "hello";
  const Chunk chunk = Chunk::copy_of(base::as_bytes(text));
  text = "other";
  EXPECT_EQ(text_of(chunk), "hello");
  EXPECT_EQ(chunk.held(), 5U);
  EXPECT_TRUE(Chunk::copy_of({}).empty());
}

TEST(Chunk, MayBeFilledWhileItHasOneOwner) {
  Chunk chunk = Chunk::allocate(3);
  chunk.fill()[0] = 'a';
  chunk.fill()[1] = 'b';
  chunk.truncate(2);
  EXPECT_EQ(text_of(chunk), "ab");
}

TEST(ChunkDeathTest, MayNotBeFilledOnceShared) {
  Chunk chunk = Chunk::allocate(3);
  const Chunk other = chunk;
  EXPECT_DEATH(chunk.fill(), "refs == 1");
}

TEST(ChunkDeathTest, RefusesSlicesOutsideItself) {
  const Chunk chunk = Chunk::copy_of(base::as_bytes("abc"));
  EXPECT_DEATH(chunk.slice(2, 2), "offset \\+ size");
}

TEST(Chunk, SlicesShareTheBytes) {
  const Chunk whole = Chunk::copy_of(base::as_bytes("hello world"));
  Chunk part = whole.slice(6, 5);
  EXPECT_EQ(part.data(), whole.data() + 6);
  part.remove_prefix(1);
  EXPECT_EQ(text_of(part), "orld");
  part.truncate(2);
  EXPECT_EQ(text_of(part), "or");
  EXPECT_EQ(text_of(whole), "hello world");
}

TEST(Chunk, ReturnsItsBufferWhenTheLastSliceIsGone) {
  CountingSource source(1);
  Chunk whole = source.fill(0);
  Chunk first = whole.slice(0, 10);
  Chunk empty = whole.slice(5, 0);
  whole = Chunk();
  EXPECT_EQ(source.recycled[0], 0);
  first = Chunk();
  EXPECT_EQ(source.recycled[0], 0) << "an empty slice still holds its buffer";
  empty = Chunk();
  EXPECT_EQ(source.recycled[0], 1);
}

TEST(Chunk, MovingKeepsTheCount) {
  CountingSource source(1);
  Chunk first = source.fill(0);
  Chunk second = std::move(first);
  EXPECT_TRUE(first.empty());
  first = Chunk();
  EXPECT_EQ(source.recycled[0], 0);
  second = Chunk();
  EXPECT_EQ(source.recycled[0], 1);
}

TEST(Chunk, AssigningToItselfChangesNothing) {
  CountingSource source(1);
  Chunk chunk = source.fill(0);
  Chunk& same = chunk;
  chunk = same;
  EXPECT_EQ(source.recycled[0], 0);
  EXPECT_EQ(chunk.size(), CountingSource::kCapacity);
  chunk = chunk.slice(1, 2);
  EXPECT_EQ(source.recycled[0], 0);
  EXPECT_EQ(chunk.size(), 2U);
}

TEST(Chunk, RecyclesEachBufferExactlyOnceUnderRandomUse) {
  constexpr std::uint32_t kBuffers = 200;
  CountingSource source(kBuffers);
  base::SeededRandom random(7);
  {
    std::vector<Chunk> held(30);
    for (std::uint32_t next = 0; next < kBuffers;) {
      Chunk& target = held[random.below(held.size())];
      const Chunk& origin = held[random.below(held.size())];
      switch (random.below(5)) {
        case 0:
          target = source.fill(next++);
          break;
        case 1:
          target = origin;
          break;
        case 2:
          target = origin.slice(origin.size() / 2, origin.size() / 4);
          break;
        case 3:
          target = std::move(held[random.below(held.size())]);
          break;
        default:
          target = Chunk();
      }
    }
  }
  for (std::uint32_t i = 0; i < kBuffers; ++i) EXPECT_EQ(source.recycled[i], 1) << "buffer " << i;
}

}  // namespace
}  // namespace penstock::io
