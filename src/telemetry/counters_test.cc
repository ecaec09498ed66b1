#include "telemetry/counters.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace penstock::telemetry {
namespace {

enum class Name { kQueries, kBytes, kCount };

TEST(Counters, AddUpOverWorkers) {
  CounterSet<Name> a, b;
  a[Name::kQueries].add();
  a[Name::kBytes].add(100);
  b[Name::kQueries].add(2);
  const std::vector<const CounterSet<Name>*> all = {&a, &b};
  EXPECT_EQ(sum_of<Name>(all), (CounterSet<Name>::Snapshot{3, 100}));
}

TEST(Counters, CanBeReadWhileTheirThreadCounts) {
  Counter counter;
  std::jthread worker([&] {
    for (int i = 0; i < 100'000; ++i) counter.add();
  });
  std::uint64_t before = 0;
  while (before < 100'000) {
    const std::uint64_t now = counter.read();
    ASSERT_GE(now, before);
    before = now;
  }
}

TEST(Counters, GaugesGoBothWays) {
  Gauge gauge;
  gauge.add(3);
  gauge.subtract(5);
  EXPECT_EQ(gauge.read(), -2);
}

}  // namespace
}  // namespace penstock::telemetry
