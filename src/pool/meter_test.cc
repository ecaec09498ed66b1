#include "pool/meter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace penstock::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const base::TimePoint kStart = base::TimePoint() + seconds(1000);

TEST(Meter, LetsASecondsWorthThroughAtOnce) {
  Meter meter;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(meter.charge(kStart, 1, 10), kStart) << i;
  EXPECT_EQ(meter.charge(kStart, 1, 10), kStart + milliseconds(100));
  EXPECT_EQ(meter.charge(kStart, 1, 10), kStart + milliseconds(200));
}

TEST(Meter, WithoutALimitNothingWaits) {
  Meter meter;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(meter.charge(kStart, 1'000'000, 0), kStart);
}

TEST(Meter, KeepsToTheRateWhenThoseWhoAreToldToWaitDo) {
  Meter meter;
  base::TimePoint now = kStart;
  int done = 0;
  while (now < kStart + seconds(10)) {
    now = std::max(now + milliseconds(1), meter.charge(now, 1, 50));
    ++done;
  }
  EXPECT_NEAR(done, 50 + 500, 2);
}

TEST(Meter, APauseIsWorthNoMoreThanASecond) {
  Meter meter;
  (void)meter.charge(kStart, 1, 10);
  const base::TimePoint later = kStart + seconds(3600);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(meter.charge(later, 1, 10), later);
  EXPECT_GT(meter.charge(later, 1, 10), later);
}

TEST(Meter, ALargeAmountIsWaitedForAfterwards) {
  Meter meter;
  EXPECT_EQ(meter.charge(kStart, 64'000, 1000), kStart + seconds(63));
}

TEST(Meter, CountsNothingForThoseWhoWillNotWait) {
  Meter meter;
  const base::TimePoint latest = kStart + milliseconds(250);
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(meter.charge(kStart, 1, 10, latest).has_value());
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(meter.charge(kStart, 1, 10, latest).has_value());
  const base::TimePoint later = kStart + milliseconds(100);
  EXPECT_EQ(meter.charge(later, 1, 10, latest + milliseconds(100)), kStart + milliseconds(300));
}

TEST(Meter, AnotherRateForgivesWhatIsOwed) {
  Meter meter;
  for (int i = 0; i < 100; ++i) (void)meter.charge(kStart, 1, 1);
  EXPECT_GT(meter.charge(kStart, 1, 1), kStart + seconds(50));
  EXPECT_LE(meter.charge(kStart, 1, 100), kStart + milliseconds(10));
}

TEST(Meter, HoldsOverAllThreads) {
  Meter meter;
  std::vector<std::thread> threads;
  std::atomic<int> at_once{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) at_once += meter.charge(kStart, 1, 500) == kStart ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(at_once, 500);
}

}  // namespace
}  // namespace penstock::pool
