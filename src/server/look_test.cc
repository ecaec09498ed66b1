#include "server/look.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace penstock::server {
namespace {

using Table = std::unordered_map<int, int>;

TEST(BucketWalk, FindsEveryEntryOnceInShortParts) {
  Table table;
  for (int i = 0; i < 10'000; ++i) table[i] = i;
  BucketWalk walk;
  std::multiset<int> found;
  int parts = 0;
  for (bool more = true; more; ++parts) {
    std::size_t here = 0;
    more = walk.step(
        table, [] {},
        [&](const auto& entry) {
          found.insert(entry.first);
          ++here;
        });
    EXPECT_LE(here, 2 * BucketWalk::kBucketsPerPart);
  }
  EXPECT_GT(parts, 20);
  EXPECT_EQ(found.size(), 10'000U);
  EXPECT_EQ(std::set<int>(found.begin(), found.end()).size(), 10'000U);
}

TEST(BucketWalk, BeginsAnewWhenTheTableIsRebuilt) {
  Table table;
  for (int i = 0; i < 2000; ++i) table[i] = i;
  BucketWalk walk;
  std::vector<int> found;
  const auto step = [&] {
    return walk.step(table, [&] { found.clear(); }, [&](const auto& entry) { found.push_back(entry.first); });
  };
  ASSERT_TRUE(step());
  for (int i = 2000; i < 20'000; ++i) table[i] = i;
  while (step()) {
  }
  EXPECT_EQ(found.size(), 20'000U);
}

TEST(BucketWalk, IsDoneAtOnceWithAnEmptyTable) {
  BucketWalk walk;
  const Table table;
  EXPECT_FALSE(walk.step(table, [] {}, [](const auto&) { FAIL(); }));
}

TEST(KeyWalk, FindsWhatStaysWhileOthersComeAndGo) {
  std::map<std::string, int> table;
  for (int i = 0; i < 1000; ++i) table["stays" + std::to_string(i)] = i;
  KeyWalk walk;
  std::multiset<std::string> found;
  for (int part = 0; walk.step(table, [&](const auto& entry) { found.insert(entry.first); }); ++part) {
    table.erase("comes" + std::to_string(part - 1));
    table["comes" + std::to_string(part)] = part;
  }
  std::erase_if(found, [](const std::string& key) { return key.starts_with("comes"); });
  EXPECT_EQ(found.size(), 1000U);
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), 1000U);
}

TEST(MergeShards, AddsUpWhatSeveralWorkersHaveOfOnePool) {
  std::vector<admin::PoolView> pools(3);
  pools[0].tenant = pools[2].tenant = "b";
  pools[1].tenant = "a";
  pools[0].idle = 1;
  pools[0].waiting = 2;
  pools[0].longest_wait = std::chrono::milliseconds(5);
  pools[2].idle = 3;
  pools[2].longest_wait = std::chrono::milliseconds(9);
  pools[2].last_error = "no";
  merge_shards(pools);
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].tenant, "a");
  EXPECT_EQ(pools[1].idle, 4U);
  EXPECT_EQ(pools[1].waiting, 2U);
  EXPECT_EQ(pools[1].longest_wait.count(), 9);
  EXPECT_EQ(pools[1].last_error, "no");
}

TEST(MergeShards, AddsTheSizesOfPoolsThatOnlyTheirKeysTellApart) {
  std::vector<admin::PoolView> pools(3);
  for (admin::PoolView& pool : pools) {
    pool.tenant = pool.user = pool.database = "a";
    pool.size = 10;
    pool.idle = 1;
  }
  pools[1].key = "with another secret";
  merge_shards(pools);
  ASSERT_EQ(pools.size(), 1U);
  EXPECT_EQ(pools[0].size, 20) << "two shards of one pool, and another pool";
  EXPECT_EQ(pools[0].idle, 3U);
}

TEST(MergeUncounted, MakesOneOfATenantsPoolsWithoutAName) {
  std::vector<admin::PoolView> pools(4);
  const char* names[] = {"a", "b", "c", "c"};
  for (std::size_t i = 0; i < pools.size(); ++i) {
    pools[i].tenant = names[i] == std::string("c") ? "few" : "many";
    pools[i].user = "u";
    pools[i].database = names[i];
    pools[i].size = 10;
    pools[i].waiting = 1;
    pools[i].is_counted = i == 3;
  }
  merge_shards(pools);
  merge_uncounted(pools, [](const std::string&) { return false; });
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].database, "c") << "one worker counts it by name";
  EXPECT_EQ(pools[0].size, 10);
  EXPECT_EQ(pools[1].tenant, "many");
  EXPECT_EQ(pools[1].user, "_other");
  EXPECT_EQ(pools[1].database, "_other");
  EXPECT_EQ(pools[1].size, 20);
  EXPECT_EQ(pools[1].waiting, 2U);
}

TEST(MergeUncounted, NamesThemAsTheirCountersAre) {
  telemetry::PoolCounterTable counters(2);
  (void)counters.others_of("early", 1);
  (void)counters.find_or_make({"late", "u", "d"}, 0);  // now it is full
  (void)counters.others_of("late", 0);
  std::vector<admin::PoolView> pools(3);
  const char* tenants[] = {"early", "late", "later"};
  for (std::size_t i = 0; i < pools.size(); ++i) {
    pools[i].tenant = tenants[i];
    pools[i].user = pools[i].database = "x";
    pools[i].active = 1;
    pools[i].is_counted = false;
  }
  merge_uncounted(pools,
                  [&](const std::string& tenant) { return are_counted_among_all(counters, 2, tenant); });
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].tenant, "_other");
  EXPECT_EQ(pools[0].active, 2U);
  EXPECT_EQ(pools[1].tenant, "early");
}

TEST(MergeShards, CountsReplicationConnectionsWithThePoolOfTheirName) {
  for (const std::size_t own : {0U, 1U}) {
    std::vector<admin::PoolView> pools(2);
    pools[own].size = 20;
    pools[own].key = "pool";
    pools[own].mode = "transaction";
    pools[own].state = admin::PoolState::kPaused;
    pools[1 - own].mode = "session";
    pools[1 - own].active = 1;
    pools[1 - own].state = admin::PoolState::kPausing;
    merge_shards(pools);
    ASSERT_EQ(pools.size(), 1U);
    EXPECT_EQ(pools[0].size, 20);
    EXPECT_EQ(pools[0].mode, "transaction");
    EXPECT_EQ(pools[0].active, 1U);
    EXPECT_EQ(pools[0].state, admin::PoolState::kPausing);
  }
}

}  // namespace
}  // namespace penstock::server
