// Each checker finds the bug made for it, in a toy pooler that passes without one.
#include <gtest/gtest.h>

#include "sim/scenario.h"
#include "sim/toy_pooler.h"

namespace penstock::sim {
namespace {

ScenarioOptions with_toy(std::uint64_t seed, ToyPooler::Options toy) {
  return {.seed = seed,
          .clients_max = 6,
          .work = ToyPooler::work(),
          .passwords = false,
          .waiter_slack = std::chrono::milliseconds(10),
          .middle = ToyPooler::builder(toy)};
}

TEST(PlantedBugsSim, TheToyPoolerIsRightWithoutABug) {
  const auto [first, last] = seeds_to_run(200);
  for (auto seed = first; seed <= last; ++seed) {
    for (const bool faults : {false, true}) {
      auto options = with_toy(seed, {.upstreams_max = 1 + seed % 3});
      options.faults = faults;
      if (faults) options.waiter_slack.reset();
      const auto result = run_scenario(options);
      ASSERT_TRUE(result.verdict.clean())
          << "seed " << seed << (faults ? ", faults" : "") << ": " << result.verdict.to_string();
    }
  }
}

struct Planted {
  const char* name;
  PlantedBug bug;
  Rule rule;
  bool faults = false;
};

class PlantedBugsSim : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBugsSim, IsFoundByItsChecker) {
  const auto& planted = GetParam();
  std::string others;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    auto options = with_toy(seed, {.bug = planted.bug, .upstreams_max = 1 + seed % 3});
    options.faults = planted.faults;
    const auto result = run_scenario(options);
    if (result.verdict.has(planted.rule)) return;
    if (!result.verdict.clean()) others = result.verdict.to_string();
  }
  FAIL() << "not found in 200 seeds; others: " << others;
}

INSTANTIATE_TEST_SUITE_P(
    All, PlantedBugsSim,
    testing::Values(Planted{"SwapsAnswers", PlantedBug::kSwapsAnswers, Rule::kCrossTalk},
                    Planted{"LosesReady", PlantedBug::kLosesReady, Rule::kOneEnding},
                    Planted{"RepeatsQuery", PlantedBug::kRepeatsQuery, Rule::kAtMostOnce},
                    Planted{"InventsAnswer", PlantedBug::kInventsAnswer, Rule::kAnsweredIsDone},
                    Planted{"ChangesRow", PlantedBug::kChangesRow, Rule::kWrongAnswer},
                    Planted{"ReleasesEarly", PlantedBug::kReleasesEarly, Rule::kTransaction},
                    Planted{"SwapsOrder", PlantedBug::kSwapsOrder, Rule::kClientOrder},
                    Planted{"StaleCancel", PlantedBug::kStaleCancel, Rule::kCancelFence},
                    Planted{"IgnoresLimit", PlantedBug::kIgnoresLimit, Rule::kLimit},
                    Planted{"ServesLastFirst", PlantedBug::kServesLastFirst, Rule::kWaiterOrder},
                    Planted{"SendsNonsense", PlantedBug::kSendsNonsense, Rule::kServerProtocol},
                    Planted{"NeverReconnects", PlantedBug::kNeverReconnects, Rule::kRecovery, true},
                    Planted{"KeepsConnection", PlantedBug::kKeepsConnection, Rule::kDrain}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace penstock::sim
