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

// The same for Prometheus: how many lie below every eighth limit (50 µs, 200 µs, 800 µs, 3.2 ms … 210 s). A scrape of
// thousands of pools stays small, and the counts are exact: these limits are the histogram's own.
class CoarseHistogram {
 public:
  static constexpr std::size_t kStep = 2 * kStepsPerDoubling;
  static constexpr std::size_t kLimits = (kBuckets - 2) / kStep + 1;
  static Nanoseconds limit(std::size_t index) { return bucket_end(index * kStep); }

  void add(const Histogram& histogram);
  std::uint64_t below(std::size_t index) const { return below_[index]; }
  std::uint64_t count() const { return count_; }
  Nanoseconds sum() const { return Nanoseconds(sum_); }

 private:
  std::array<std::uint64_t, kLimits> below_{};
  std::uint64_t count_ = 0;
  std::int64_t sum_ = 0;
};

class Histogram {
 public:
  void record(Nanoseconds duration) {
    buckets_[bucket_of(duration)].add();
    sum_.add(duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0);
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i].add(other.buckets_[i].read());
    sum_.add(other.sum_.read());
  }

 private:
  friend class HistogramSnapshot;
  friend class CoarseHistogram;
  std::array<Counter, kBuckets> buckets_;
  Counter sum_;  // nanoseconds; 584 years
};

}  // namespace penstock::telemetry
