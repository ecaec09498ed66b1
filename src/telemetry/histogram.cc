#include "telemetry/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace penstock::telemetry {

std::size_t bucket_of(Nanoseconds duration) {
  if (duration < kSmallest) return 0;
  const auto multiple = static_cast<std::uint64_t>(duration / kSmallest);
  const std::size_t doubling = static_cast<std::size_t>(std::bit_width(multiple)) - 1;
  if (doubling >= kDoublings) return kBuckets - 1;
  const Nanoseconds start = kSmallest * (std::int64_t{1} << doubling);
  const auto step = static_cast<std::size_t>((duration - start) * kStepsPerDoubling / start);
  return 1 + doubling * kStepsPerDoubling + step;
}

Nanoseconds bucket_end(std::size_t bucket) {
  if (bucket == 0) return kSmallest;
  if (bucket >= kBuckets - 1) return Nanoseconds::max();
  const std::size_t doubling = (bucket - 1) / kStepsPerDoubling;
  const std::size_t step = (bucket - 1) % kStepsPerDoubling;
  const Nanoseconds start = kSmallest * (std::int64_t{1} << doubling);
  return start + start * static_cast<std::int64_t>(step + 1) / static_cast<std::int64_t>(kStepsPerDoubling);
}

void HistogramSnapshot::add(const Histogram& histogram) {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += histogram.buckets_[i].read();
  sum_ += static_cast<std::int64_t>(histogram.sum_.read());
}

std::uint64_t HistogramSnapshot::count() const {
  std::uint64_t count = 0;
  for (const std::uint64_t each : buckets_) count += each;
  return count;
}

Nanoseconds HistogramSnapshot::quantile(double share) const {
  const std::uint64_t all = count();
  if (all == 0) return Nanoseconds{0};
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(all));
  std::uint64_t rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::size_t bucket = 0;
  while (bucket < kBuckets - 1 && rank > buckets_[bucket]) rank -= buckets_[bucket++];
  return bucket_end(std::min(bucket, kBuckets - 2));
}

void CoarseHistogram::add(const Histogram& histogram) {
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    so_far += histogram.buckets_[i].read();
    if (i % kStep == 0 && i / kStep < kLimits) below_[i / kStep] += so_far;
  }
  count_ += so_far;
  sum_ += static_cast<std::int64_t>(histogram.sum_.read());
}

}  // namespace penstock::telemetry
