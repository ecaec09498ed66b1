// The checkers find faults with the real pooler in the way: a proxy beside it breaks one rule at a time, or
// the checker is told another limit than the pooler.
#include <gtest/gtest.h>

#include "sim/tampering_proxy.h"

namespace penstock::sim {
namespace {

ScenarioOptions tampered(std::uint64_t seed, Tampering tampering, const PoolerMiddle::Options& pooler) {
  return {.seed = seed,
          .clients_max = 6,
          .work = PoolerMiddle::work(),
          .passwords = false,
          .middle = TamperedMiddle::builder(pooler, tampering)};
}

TEST(PoolerPlantedBugsSim, AProxyThatDoesNothingIsNoFault) {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    for (const bool faults : {false, true}) {
      auto options = tampered(seed, Tampering::kNone, {});
      options.faults = faults;
      const auto result = run_scenario(options);
      ASSERT_TRUE(result.verdict.clean())
          << "seed " << seed << (faults ? ", faults" : "") << ": " << result.verdict.to_string();
    }
  }
}

struct Planted {
  const char* name;
  Tampering tampering;
  Rule rule;
  bool faults = false;
  PoolerMiddle::Options pooler = {};
  std::optional<base::Duration> waiter_slack = {};
};

class PoolerPlantedBugsSim : public testing::TestWithParam<Planted> {};

TEST_P(PoolerPlantedBugsSim, IsFoundByItsChecker) {
  const auto& planted = GetParam();
  std::string others;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    auto options = tampered(seed, planted.tampering, planted.pooler);
    options.faults = planted.faults;
    options.waiter_slack = planted.waiter_slack;
    const auto result = run_scenario(options);
    if (result.verdict.has(planted.rule)) return;
    if (!result.verdict.clean()) others = result.verdict.to_string();
  }
  FAIL() << "not found in 200 seeds; others: " << others;
}

INSTANTIATE_TEST_SUITE_P(
    All, PoolerPlantedBugsSim,
    testing::Values(
        Planted{"SwapsAnswers", Tampering::kSwapsAnswers, Rule::kCrossTalk},
        Planted{"LosesReady", Tampering::kLosesReady, Rule::kOneEnding},
        Planted{"RepeatsQuery", Tampering::kRepeatsQuery, Rule::kAtMostOnce},
        Planted{"InventsAnswer", Tampering::kInventsAnswer, Rule::kAnsweredIsDone},
        Planted{"ChangesRow", Tampering::kChangesRow, Rule::kWrongAnswer},
        Planted{"HidesTransaction", Tampering::kHidesTransaction, Rule::kTransaction},
        Planted{"SwapsOrder", Tampering::kSwapsOrder, Rule::kClientOrder},
        Planted{"TurnsCancel", Tampering::kTurnsCancel, Rule::kCancelFence},
        Planted{"OpensTwice", Tampering::kOpensTwice, Rule::kLimit},
        Planted{"OneTooMany", Tampering::kNone, Rule::kLimit, false, {.limit_told = 1, .pool_size_min = 2}},
        Planted{"HoldsBack",
                Tampering::kHoldsBack,
                Rule::kWaiterOrder,
                false,
                {.workers_max = 1, .pool_size_max = 2},
                std::chrono::milliseconds(10)},
        Planted{"SendsNonsense", Tampering::kSendsNonsense, Rule::kServerProtocol},
        Planted{"StaysDown", Tampering::kStaysDown, Rule::kRecovery, true},
        Planted{"KeepsConnection", Tampering::kKeepsConnection, Rule::kDrain}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace penstock::sim
