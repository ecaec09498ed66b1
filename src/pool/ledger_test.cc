#include "pool/ledger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "base/random.h"

namespace penstock::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Reservation take(const Scopes& scopes, std::initializer_list<int> limits, const Scope** full = nullptr) {
  return Reservation::take(std::make_shared<const Scopes>(scopes), limits, full);
}

TEST(Reservation, CountsWhileItLives) {
  Ledger ledger;
  const auto scope = ledger.scope("pool");
  {
    const auto one = take({scope}, {2});
    EXPECT_TRUE(one);
    auto two = take({scope}, {2});
    EXPECT_EQ(scope->open, 2);
    EXPECT_FALSE(take({scope}, {2}));
    EXPECT_EQ(scope->open, 2);
    two = {};
    EXPECT_EQ(scope->open, 1);
    EXPECT_TRUE(take({scope}, {2}));
  }
  EXPECT_EQ(scope->open, 0);
}

TEST(Reservation, CountsOnceHoweverOftenItMoves) {
  Ledger ledger;
  const auto scope = ledger.scope("pool");
  auto one = take({scope}, {0});
  auto two = std::move(one);
  std::vector<Reservation> kept;
  kept.push_back(std::move(two));
  kept.push_back(take({scope}, {0}));
  EXPECT_EQ(scope->open, 2);
  kept.clear();
  EXPECT_EQ(scope->open, 0);
}

TEST(Reservation, IsAllOrNothingAndNamesWhatIsFull) {
  Ledger ledger;
  const auto pool = ledger.scope("pool");
  const auto tenant = ledger.scope("tenant");
  const auto process = ledger.scope("process");
  const auto held = take({tenant}, {1});
  const Scope* full = nullptr;
  EXPECT_FALSE(take({pool, tenant, process}, {5, 1, 5}, &full));
  EXPECT_EQ(full, tenant.get());
  EXPECT_EQ(full->name, "tenant");
  EXPECT_EQ(pool->open, 0);
  EXPECT_EQ(process->open, 0);
}

TEST(Reservation, ZeroIsNoLimitButCounts) {
  Ledger ledger;
  const auto scope = ledger.scope("pool");
  std::vector<Reservation> held;
  for (int i = 0; i < 1000; ++i) held.push_back(take({scope}, {0}));
  EXPECT_EQ(scope->open, 1000);
  EXPECT_FALSE(take({scope}, {1000}));
}

TEST(Ledger, AScopeIsOneObjectWhileSomebodyCountsInIt) {
  Ledger ledger;
  auto one = ledger.scope("tenant acme");
  EXPECT_EQ(ledger.scope("tenant acme"), one);
  EXPECT_NE(ledger.scope("tenant acm"), one);
  const auto held = take({one}, {0});
  one.reset();
  EXPECT_EQ(ledger.scope("tenant acme")->open, 1) << "the reservation keeps it";
}

// Many threads take and give back in two scopes with different limits; each notes what it could see at any
// time.
TEST(Ledger, NoScopeIsEverAboveItsLimit) {
  constexpr int kLimitOfPool = 3;
  constexpr int kLimitOfTenant = 5;
  Ledger ledger;
  const auto tenant = ledger.scope("tenant");
  std::atomic<int> in_tenant{0};
  std::array<std::atomic<int>, 2> in_pool{};
  std::atomic<int> above{0};
  std::atomic<int> granted{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        const auto pool = ledger.scope(thread % 2 == 0 ? "even" : "odd");
        std::atomic<int>& mine = in_pool[thread % 2];
        base::SeededRandom random(thread);
        std::vector<Reservation> held;
        const auto give_back = [&] {
          // Counted down first: the scope may be full again the moment it is given back.
          --in_tenant;
          --mine;
          held.pop_back();
        };
        for (int i = 0; i < 20'000; ++i) {
          if (!held.empty() && random.below(2) == 0) {
            give_back();
            continue;
          }
          auto reservation = take({pool, tenant}, {kLimitOfPool, kLimitOfTenant});
          if (!reservation) continue;
          ++granted;
          held.push_back(std::move(reservation));
          if (++mine > kLimitOfPool) ++above;
          if (++in_tenant > kLimitOfTenant) ++above;
        }
        while (!held.empty()) give_back();
      });
    }
  }
  EXPECT_EQ(above, 0);
  EXPECT_GT(granted, 1000);
  EXPECT_EQ(tenant->open, 0);
  EXPECT_EQ(ledger.scope("even")->open, 0);
  EXPECT_EQ(ledger.scope("odd")->open, 0);
}

// How many attempts, made every millisecond, are let through.
int let_through(Pace& pace, base::TimePoint& now, base::Duration time, int per_second) {
  int count = 0;
  for (const auto end = now + time; now < end; now += milliseconds(1))
    count += pace.take(now, per_second) ? 1 : 0;
  return count;
}

TEST(Pace, LetsThroughItsRateAndATenthOfASecondAtOnce) {
  Pace pace;
  base::TimePoint now{seconds(1000)};
  int at_once = 0;
  while (pace.take(now, 100)) ++at_once;
  EXPECT_EQ(at_once, 10);
  EXPECT_NEAR(let_through(pace, now, seconds(10), 100), 1000, 2);
}

TEST(Pace, ALongPauseSavesNoMoreThanABurst) {
  Pace pace;
  base::TimePoint now{seconds(1000)};
  (void)pace.take(now, 100);
  now += seconds(60);
  int at_once = 0;
  while (pace.take(now, 100)) ++at_once;
  EXPECT_EQ(at_once, 10);
}

TEST(Pace, KeepsLowRatesToo) {
  for (const int per_second : {1, 2, 9, 10, 11}) {
    Pace pace;
    base::TimePoint now{seconds(1000)};
    EXPECT_NEAR(let_through(pace, now, seconds(20), per_second), 20 * per_second, 1 + per_second / 10)
        << per_second;
  }
}

TEST(Pace, WithoutARateLetsEverythingThrough) {
  Pace pace;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(pace.take(base::TimePoint{seconds(1000)}, 0));
}

TEST(Pace, IsOneForAllThreads) {
  Pace pace;
  const base::TimePoint now{seconds(1000)};
  std::atomic<int> through{0};
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) through += pace.take(now, 500) ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(through, 50);
}

TEST(Ledger, APaceIsSharedByName) {
  Ledger ledger;
  const auto one = ledger.pace("10.0.0.5:5432 ");
  EXPECT_EQ(ledger.pace("10.0.0.5:5432 "), one);
  EXPECT_NE(ledger.pace("10.0.0.6:5432 "), one);
}

}  // namespace
}  // namespace penstock::pool
