// Penstock between simulated clients and servers.
#include <gtest/gtest.h>

#include "sim/pooler_middle.h"
#include "sim/scenario.h"

namespace penstock::sim {
namespace {

struct Way {
  const char* name;
  bool faults;
  std::vector<std::string> users = {"app"};
  PoolerMiddle::Options pooler = {};
};

void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

class PoolerSim : public testing::TestWithParam<Way> {};

TEST_P(PoolerSim, ServesEveryClientRight) {
  const auto& way = GetParam();
  std::size_t answered = 0;
  std::size_t failed = 0;
  std::size_t cut = 0;
  const auto [first, last] = seeds_to_run(300);
  for (auto seed = first; seed <= last; ++seed) {
    const auto result = run_scenario({.seed = seed,
                                      .faults = way.faults,
                                      .work = PoolerMiddle::work(),
                                      .users = way.users,
                                      .reconfigures = way.pooler.varied,
                                      .stops_midway = true,
                                      .middle = PoolerMiddle::builder(way.pooler)});
    ASSERT_TRUE(result.verdict.clean()) << "PENSTOCK_SIM_SEED=" << seed << ": " << result.verdict.to_string();
    answered += result.answered;
    failed += result.failed;
    cut += result.cut;
  }
  std::printf("%zu answered, %zu failed, %zu cut\n", answered, failed, cut);
  EXPECT_GT(answered, failed + cut);
}

const PoolerMiddle::Options kSessions{
    .pool_size_min = 5, .pool_size_max = 8, .mode = model::PoolMode::kSession};
const PoolerMiddle::Options kVaried{.varied = true};
const PoolerMiddle::Options kVariedSessions{
    .pool_size_min = 5, .pool_size_max = 8, .mode = model::PoolMode::kSession, .varied = true};
const std::vector<std::string> kThreeUsers = {"app", "reports", "jobs"};

INSTANTIATE_TEST_SUITE_P(
    All, PoolerSim,
    testing::Values(Way{.name = "Transactions", .faults = false},
                    Way{.name = "TransactionsWithFaults", .faults = true},
                    Way{.name = "Sessions", .faults = false, .pooler = kSessions},
                    Way{.name = "SessionsWithFaults", .faults = true, .pooler = kSessions},
                    Way{.name = "Scram", .faults = true, .pooler = {.scram_clients = true}},
                    Way{"Varied", false, kThreeUsers, kVaried},
                    Way{"VariedWithFaults", true, kThreeUsers, kVaried},
                    Way{"VariedSessionsWithFaults", true, kThreeUsers, kVariedSessions}),
    [](const auto& info) { return std::string(info.param.name); });

// Order can be told from outside with one worker only: between workers a waiter's place is a matter of
// messages.
TEST(PoolerSim, ServesWaitersInOrder) {
  const auto [first, last] = seeds_to_run(200);
  for (auto seed = first; seed <= last; ++seed) {
    const auto result =
        run_scenario({.seed = seed,
                      .clients_max = 10,
                      .work = PoolerMiddle::work(),
                      .waiter_slack = std::chrono::milliseconds(10),
                      .middle = PoolerMiddle::builder({.workers_max = 1, .pool_size_max = 2})});
    ASSERT_TRUE(result.verdict.clean()) << "PENSTOCK_SIM_SEED=" << seed << ": " << result.verdict.to_string();
  }
}

}  // namespace
}  // namespace penstock::sim
