#include "telemetry/histogram.h"

#include <gtest/gtest.h>

#include <memory>

namespace penstock::telemetry {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(Histogram, PutsEachDurationIntoTheBucketThatHoldsIt) {
  for (std::int64_t nanoseconds = 1; nanoseconds < 400'000'000'000; nanoseconds = nanoseconds * 21 / 20 + 1) {
    const Nanoseconds duration(nanoseconds);
    const std::size_t bucket = bucket_of(duration);
    ASSERT_LT(bucket, kBuckets);
    EXPECT_LT(duration, bucket_end(bucket));
    if (bucket > 0) EXPECT_GE(duration, bucket_end(bucket - 1)) << nanoseconds;
  }
}

TEST(Histogram, HasBucketsThatGrowByAQuarterAtMost) {
  for (std::size_t bucket = 1; bucket < kBuckets - 1; ++bucket) {
    EXPECT_LE(bucket_end(bucket) * 4, bucket_end(bucket - 1) * 5) << bucket;
    EXPECT_GT(bucket_end(bucket), bucket_end(bucket - 1)) << bucket;
  }
}

TEST(Histogram, TakesAnyDuration) {
  EXPECT_EQ(bucket_of(Nanoseconds(-5)), 0u);
  EXPECT_EQ(bucket_of(microseconds(50)), 1u);
  EXPECT_EQ(bucket_of(hours(1)), kBuckets - 1);
  EXPECT_EQ(bucket_of(Nanoseconds::max()), kBuckets - 1);
}

TEST(Histogram, TellsQuantilesOverSeveralWorkers) {
  Histogram a, b;
  for (int i = 0; i < 98; ++i) a.record(microseconds(100));
  b.record(milliseconds(10));
  b.record(milliseconds(20));
  HistogramSnapshot all;
  all.add(a);
  all.add(b);
  EXPECT_EQ(all.count(), 100u);
  EXPECT_EQ(all.sum(), microseconds(98 * 100 + 30'000));
  EXPECT_EQ(all.quantile(0.5), microseconds(125));
  EXPECT_GE(all.quantile(0.99), milliseconds(10));
  EXPECT_LE(all.quantile(0.99), microseconds(12'500));
  EXPECT_GE(all.quantile(1.0), milliseconds(20));
}

TEST(Histogram, SaysNothingWhenEmptyAndItsUpperEndWhenBeyond) {
  HistogramSnapshot none;
  EXPECT_EQ(none.quantile(0.5), Nanoseconds(0));
  Histogram beyond;
  beyond.record(hours(1));
  HistogramSnapshot snapshot;
  snapshot.add(beyond);
  EXPECT_EQ(snapshot.quantile(0.5), bucket_end(kBuckets - 2));
}

}  // namespace
}  // namespace penstock::telemetry
