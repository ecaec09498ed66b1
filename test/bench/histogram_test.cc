#include "histogram.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace penstock::bench {
namespace {

TEST(Histogram, EveryValueLiesInItsBucketAndNoBucketIsWiderThanOneSixtyFourth) {
  for (std::uint64_t value = 0; value < (1ULL << 62); value += value / 8 + 1) {
    const std::size_t bucket = Histogram::bucket_of(value);
    ASSERT_LT(bucket, Histogram::kBuckets);
    const std::uint64_t upper = Histogram::upper_edge(bucket);
    EXPECT_GE(upper, value);
    EXPECT_LE(upper - value, value / 64);
    EXPECT_EQ(Histogram::bucket_of(upper), bucket);
    EXPECT_EQ(Histogram::bucket_of(upper + 1), bucket + 1);
  }
  EXPECT_LT(Histogram::bucket_of(~0ULL), Histogram::kBuckets);
}

TEST(Histogram, PercentilesAreNeverTooLowAndAtMostOneBucketTooHigh) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100'000; ++value) histogram.record(value);
  for (const double share : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double truth = share * 100'000;
    EXPECT_GE(static_cast<double>(histogram.percentile(share)), truth) << share;
    EXPECT_LE(static_cast<double>(histogram.percentile(share)), truth * (1 + 1.0 / 64)) << share;
  }
  EXPECT_EQ(histogram.max(), 100'000U);
  EXPECT_DOUBLE_EQ(histogram.mean(), 50'000.5);
}

TEST(Histogram, MergingIsTheSameAsRecordingEverythingInOne) {
  Histogram left;
  Histogram right;
  Histogram both;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? left : right).record(i * 977);
    both.record(i * 977);
  }
  left.merge(right);
  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.max(), both.max());
  for (const double share : {0.1, 0.5, 0.99}) EXPECT_EQ(left.percentile(share), both.percentile(share));
}

TEST(Histogram, AnEmptyOneAnswersZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.percentile(0.99), 0U);
  EXPECT_EQ(histogram.mean(), 0);
}

}  // namespace
}  // namespace penstock::bench
