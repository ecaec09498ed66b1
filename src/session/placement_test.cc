#include "session/placement.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace penstock::session {
namespace {

TEST(Placement, KeepsASmallPoolOnOneWorker) {
  for (int pool = 0; pool < 50; ++pool) {
    const std::string key = "tenant/user/" + std::to_string(pool);
    std::set<unsigned> used;
    for (std::uint64_t session = 0; session < 100; ++session) {
      used.insert(choose_worker({.pool = key,
                                 .pool_size = kUpstreamsPerWorker,
                                 .workers = 6,
                                 .here = static_cast<unsigned>(session % 6),
                                 .session = session}));
    }
    EXPECT_EQ(used.size(), 1U) << key;
  }
}

TEST(Placement, SpreadsManySmallPoolsEvenly) {
  std::map<unsigned, int> pools_on;
  for (int pool = 0; pool < 4000; ++pool) {
    ++pools_on[choose_worker({.pool = "p" + std::to_string(pool), .pool_size = 1, .workers = 4})];
  }
  for (const auto& [worker, count] : pools_on) EXPECT_NEAR(count, 1000, 150) << worker;
  EXPECT_EQ(pools_on.size(), 4U);
}

TEST(Placement, UsesAsManyWorkersAsThePoolIsLarge) {
  std::set<unsigned> used;
  for (std::uint64_t session = 0; session < 1000; ++session) {
    used.insert(choose_worker({.pool = "p",
                               .pool_size = 2 * kUpstreamsPerWorker,
                               .workers = 8,
                               .here = static_cast<unsigned>(session % 8),
                               .session = session}));
  }
  EXPECT_EQ(used.size(), 2U);
}

TEST(Placement, LeavesASessionWhereItFits) {
  for (unsigned here = 0; here < 4; ++here) {
    EXPECT_EQ(choose_worker({.pool = "p", .pool_size = 0, .workers = 4, .here = here}), here);
    EXPECT_EQ(choose_worker({.pool = "p", .pool_size = 100, .workers = 4, .here = here}), here);
  }
  EXPECT_EQ(choose_worker({.pool = "p", .pool_size = 1, .workers = 1, .here = 0}), 0U);
}

}  // namespace
}  // namespace penstock::session
