// SharedMap: a sorted map from text to values, whose versions share what is the same in both.
//
// Copying one and changing an entry of the copy costs about as much as one of its chunks, however large the map is; and
// what two versions differ in is found without looking at what they share.
//
// Owner:      by value; a copy is cheap.
// Home:       SHARED (what is shared between copies never changes)
// Invariants: keys are in order over all chunks, and none is twice; no chunk is empty.
// Bounds:     kChunkMax entries in a chunk.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::model {

template <class Value>
class SharedMap {
 public:
  using Entry = std::pair<std::string, Value>;

  SharedMap() = default;
  // Of entries in any order. Of a key that is there twice, one of the two counts.
  explicit SharedMap(std::vector<Entry> entries) {
    std::ranges::sort(entries, {}, &Entry::first);
    const auto repeated = std::ranges::unique(entries, {}, &Entry::first);
    entries.erase(repeated.begin(), repeated.end());
    size_ = entries.size();
    for (auto at = entries.begin(); at != entries.end();) {
      const auto end = at + std::min<std::ptrdiff_t>(kChunkMax / 2, entries.end() - at);
      chunks_.push_back(
          std::make_shared<const Chunk>(std::make_move_iterator(at), std::make_move_iterator(end)));
      at = end;
    }
  }

  std::size_t size() const { return size_; }

  // Null when there is none.
  const Value* find(std::string_view key) const {
    const auto chunk = chunk_of(key);
    if (chunk == chunks_.end()) return nullptr;
    const auto entry = lower_bound(**chunk, key);
    return entry != (*chunk)->end() && entry->first == key ? &entry->second : nullptr;
  }

  void set(std::string_view key, Value value) {
    if (chunks_.empty()) {
      *this = SharedMap({Entry(key, std::move(value))});
      return;
    }
    auto place = chunks_.begin() + (chunk_of(key) - chunks_.cbegin());
    if (place == chunks_.end()) --place;
    Chunk chunk = **place;
    const auto entry = chunk.begin() + (lower_bound(chunk, key) - chunk.cbegin());
    if (entry != chunk.end() && entry->first == key) {
      entry->second = std::move(value);
    } else {
      chunk.emplace(entry, key, std::move(value));
      ++size_;
    }
    replace(place, std::move(chunk));
  }

  void erase(std::string_view key) {
    if (find(key) == nullptr) return;
    const auto place = chunks_.begin() + (chunk_of(key) - chunks_.cbegin());
    Chunk chunk = **place;
    chunk.erase(lower_bound(chunk, key));
    --size_;
    replace(place, std::move(chunk));
  }

  template <class Call>
  void for_each(Call call) const {
    for (const auto& chunk : chunks_) {
      for (const Entry& entry : *chunk) call(entry.first, entry.second);
    }
  }

  // From the first key that is not smaller, for as long as `call` says so.
  template <class Call>
  void for_each_from(std::string_view key, Call call) const {
    for (auto chunk = chunk_of(key); chunk != chunks_.end(); ++chunk) {
      for (auto entry = lower_bound(**chunk, key); entry != (*chunk)->end(); ++entry) {
        if (!call(entry->first, entry->second)) return;
      }
    }
  }

  // Calls `call(key, before, after)` for each key whose value is another one in `after`; null: it is not there.
  template <class Call>
  static void each_difference(const SharedMap& before, const SharedMap& after, Call call) {
    Cursor old{before.chunks_}, now{after.chunks_};
    while (!old.at_end() || !now.at_end()) {
      if (old.skip_shared(now)) continue;
      const int order = old.at_end() ? 1 : now.at_end() ? -1 : old.entry().first.compare(now.entry().first);
      if (order < 0) {
        call(old.entry().first, &old.entry().second, nullptr);
      } else if (order > 0) {
        call(now.entry().first, nullptr, &now.entry().second);
      } else if (!(old.entry().second == now.entry().second)) {
        call(now.entry().first, &old.entry().second, &now.entry().second);
      }
      if (order <= 0) old.advance();
      if (order >= 0) now.advance();
    }
  }

 private:
  static constexpr std::size_t kChunkMax = 128;
  using Chunk = std::vector<Entry>;
  using Chunks = std::vector<std::shared_ptr<const Chunk>>;

  struct Cursor {
    const Chunks& chunks;
    std::size_t chunk = 0, place = 0;
    bool at_end() const { return chunk == chunks.size(); }
    const Entry& entry() const { return (*chunks[chunk])[place]; }
    void advance() {
      if (++place < chunks[chunk]->size()) return;
      ++chunk;
      place = 0;
    }
    // True: both stood before the same chunk, and stand behind it now.
    bool skip_shared(Cursor& other) {
      if (place != 0 || other.place != 0 || at_end() || other.at_end()) return false;
      if (chunks[chunk] != other.chunks[other.chunk]) return false;
      ++chunk;
      ++other.chunk;
      return true;
    }
  };

  // The chunk that holds the key, if any does: the first that does not end before it.
  typename Chunks::const_iterator chunk_of(std::string_view key) const {
    return std::ranges::partition_point(chunks_,
                                        [&](const auto& chunk) { return chunk->back().first < key; });
  }
  static typename Chunk::const_iterator lower_bound(const Chunk& chunk, std::string_view key) {
    return std::ranges::partition_point(chunk, [&](const Entry& entry) { return entry.first < key; });
  }
  void replace(typename Chunks::iterator place, Chunk chunk) {
    if (chunk.empty()) {
      chunks_.erase(place);
    } else if (chunk.size() > kChunkMax) {
      const auto middle = chunk.begin() + kChunkMax / 2;
      auto rest = std::make_shared<const Chunk>(std::make_move_iterator(middle),
                                                std::make_move_iterator(chunk.end()));
      chunk.erase(middle, chunk.end());
      *place = std::make_shared<const Chunk>(std::move(chunk));
      chunks_.insert(place + 1, std::move(rest));
    } else {
      *place = std::make_shared<const Chunk>(std::move(chunk));
    }
  }

  Chunks chunks_;
  std::size_t size_ = 0;
};

}  // namespace penstock::model
