// Histogram of durations with one writer: log-linear buckets, four to each doubling, from 50 µs to 210 s.
//
// A value read from it is at most 25 % too large, whatever its size; below 50 µs everything counts as 50 µs.
//
// Home:   writing LOOP, reading any thread, as in counters.h.
// Bounds: 90 buckets, 728 bytes.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "telemetry/counters.h"

namespace penstock::telemetry {

using Nanoseconds = std::chrono::nanoseconds;

inline constexpr std::size_t kDoublings = 22;
inline constexpr std::size_t kStepsPerDoubling = 4;
inline constexpr std::size_t kBuckets = 1 + kDoublings * kStepsPerDoubling + 1;
inline constexpr Nanoseconds kSmallest = std::chrono::microseconds{50};

// The bucket of a duration; negative ones count as 0, too long ones go into the last.
std::size_t bucket_of(Nanoseconds duration);
// The first duration that no longer belongs to this bucket; Nanoseconds::max() for the last.
Nanoseconds bucket_end(std::size_t bucket);

class Histogram;

// Counts read from one histogram or summed over several.
class HistogramSnapshot {
 public:
  void add(const Histogram& histogram);
  std::uint64_t count() const;
  Nanoseconds sum() const { return Nanoseconds(sum_); }
  std::uint64_t in_bucket(std::size_t bucket) const { return buckets_[bucket]; }
  // The time within which `share` (0 to 1) of all lie: the end of the bucket that holds it. 0 when there are
  // none; the start of the last bucket when it lies there.
  Nanoseconds quantile(double share) const;

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::int64_t sum_ = 0;
};

class Histogram {
 public:
  void record(Nanoseconds duration) {
    buckets_[bucket_of(duration)].add();
    sum_.add(duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0);
  }

 private:
  friend class HistogramSnapshot;
  std::array<Counter, kBuckets> buckets_;
  Counter sum_;  // nanoseconds; 584 years
};

}  // namespace penstock::telemetry
