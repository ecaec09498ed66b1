// Simulated clients and servers with nothing between them: shows that the two and their checkers agree,
// whatever the network does, before a pooler is put into the middle.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace penstock::sim {
namespace {

struct Totals {
  std::size_t answered = 0;
  std::size_t failed = 0;
  std::size_t cut = 0;
  std::uint64_t steps = 0;
};

Totals run_all(bool faults, std::uint64_t count) {
  Totals totals;
  const auto [first, last] = seeds_to_run(count);
  for (auto seed = first; seed <= last; ++seed) {
    const auto result = run_scenario({.seed = seed, .faults = faults});
    EXPECT_TRUE(result.verdict.clean()) << "PENSTOCK_SIM_SEED=" << seed << ": " << result.verdict.to_string();
    if (!result.verdict.clean()) break;
    totals.answered += result.answered;
    totals.failed += result.failed;
    totals.cut += result.cut;
    totals.steps += result.steps;
  }
  std::printf("%zu answered, %zu failed, %zu cut; %llu steps\n", totals.answered, totals.failed, totals.cut,
              static_cast<unsigned long long>(totals.steps));
  return totals;
}

TEST(DirectSim, EveryAnswerIsRightWhenNothingFails) {
  const auto totals = run_all(false, 500);
  EXPECT_GT(totals.answered, totals.failed);
  EXPECT_EQ(totals.cut, 0U);
}

TEST(DirectSim, EveryRequestEndsOnceWhateverFails) {
  const auto totals = run_all(true, 1'000);
  EXPECT_GT(totals.answered, 0U);
}

TEST(DirectSim, TheSameSeedGivesTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const ScenarioOptions options{.seed = seed, .faults = seed % 2 == 0};
    const auto first = run_scenario(options);
    const auto second = run_scenario(options);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock::sim
