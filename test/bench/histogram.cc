#include "histogram.h"

#include <algorithm>
#include <cmath>

namespace penstock::bench {

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::percentile(double share) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (counts_[i] != 0 && seen >= wanted) return std::min(upper_edge(i), max_);
  }
  return max_;
}

std::uint64_t Histogram::upper_edge(std::size_t bucket) {
  if (bucket < (1U << kSubBits)) return bucket;
  const unsigned shift = static_cast<unsigned>(bucket >> kSubBits) - 1;
  const std::uint64_t low = ((1ULL << kSubBits) | (bucket & ((1U << kSubBits) - 1))) << shift;
  return low + ((1ULL << shift) - 1);
}

}  // namespace penstock::bench
