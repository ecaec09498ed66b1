#include "telemetry/event_limiter.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace penstock::telemetry::log {
namespace {

std::map<std::string, std::uint64_t> suppressed(EventLimiter& limiter, std::uint32_t now) {
  std::map<std::string, std::uint64_t> counts;
  limiter.take_suppressed(
      now, [&](std::string_view event, std::uint64_t count) { counts[std::string(event)] += count; });
  return counts;
}

TEST(EventLimiter, LetsThroughTheLimitEachSecond) {
  auto limiter = std::make_unique<EventLimiter>();
  limiter->set_limit(2);
  EXPECT_TRUE(limiter->admit("a", 1));
  EXPECT_TRUE(limiter->admit("a", 1));
  EXPECT_FALSE(limiter->admit("a", 1));
  EXPECT_TRUE(limiter->admit("a", 2));
}

TEST(EventLimiter, KeepsKindsApart) {
  auto limiter = std::make_unique<EventLimiter>();
  limiter->set_limit(1);
  EXPECT_TRUE(limiter->admit("a", 1));
  EXPECT_TRUE(limiter->admit("b", 1));
  EXPECT_FALSE(limiter->admit("a", 1));
}

TEST(EventLimiter, TellsOnceWhatItSuppressed) {
  auto limiter = std::make_unique<EventLimiter>();
  limiter->set_limit(1);
  for (int i = 0; i < 5; ++i) limiter->admit("a", 1);
  EXPECT_TRUE(suppressed(*limiter, 1).empty()) << "the second is not over";
  EXPECT_EQ(suppressed(*limiter, 2), (std::map<std::string, std::uint64_t>{{"a", 4}}));
  EXPECT_TRUE(suppressed(*limiter, 3).empty());
}

TEST(EventLimiter, HasNoLimitWhenItIsZero) {
  auto limiter = std::make_unique<EventLimiter>();
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limiter->admit("a", 1));
}

TEST(EventLimiter, LosesNothingBetweenThreads) {
  auto limiter = std::make_unique<EventLimiter>();
  limiter->set_limit(10);
  std::atomic<std::uint64_t> admitted{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) admitted += limiter->admit("a", 1) ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(admitted, 10u);
  EXPECT_EQ(suppressed(*limiter, 2).at("a"), 39'990u);
}

}  // namespace
}  // namespace penstock::telemetry::log
