// Histogram counts durations in buckets at most 1/64 wider than their value, from 1 ns to hours, in fixed
// memory.
//
// Owner:      whoever measures, by value.
// Home:       LOOP; merge() afterwards, when the threads have ended.
// Invariants: 1. A percentile is never below the true one and at most 1/64 above it.
// Bounds:     kBuckets counters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::bench {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 6;  // 64 buckets per power of two
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  void record(std::uint64_t value_ns) {
    ++counts_[bucket_of(value_ns)];
    ++total_;
    sum_ += value_ns;
    if (value_ns > max_) max_ = value_ns;
  }
  void merge(const Histogram& other);

  std::uint64_t count() const { return total_; }
  std::uint64_t max() const { return max_; }
  double mean() const { return total_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(total_); }
  // The upper edge of the bucket in which the given share (0 to 1) of all values is reached; 0 when empty.
  std::uint64_t percentile(double share) const;

  // Calls visit(upper edge in ns, count) for every bucket that holds something, in ascending order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (counts_[i] != 0) visit(upper_edge(i), counts_[i]);
    }
  }

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < (1U << kSubBits)) return value;
    const unsigned shift = 63U - static_cast<unsigned>(__builtin_clzll(value)) - kSubBits;
    return ((shift + 1ULL) << kSubBits) + ((value >> shift) & ((1U << kSubBits) - 1));
  }
  static std::uint64_t upper_edge(std::size_t bucket);

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace penstock::bench
