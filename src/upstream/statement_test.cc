#include "upstream/statement.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace penstock::upstream {
namespace {

using namespace std::literals;

// The body of a Parse behind its name, without types.
std::string definition(std::string_view text) {
  return std::string(text) + "\0\0\0"s;
}

StatementPtr intern(StatementTable& table, std::string_view text) {
  return table.intern(base::as_bytes(definition(text)));
}

TEST(StatementTable, EqualTextAndTypesAreOneStatement) {
  StatementTable table;
  const auto one = intern(table, "SELECT $1");
  EXPECT_EQ(one, intern(table, "SELECT $1"));
  EXPECT_NE(one, intern(table, "SELECT $2"));
  EXPECT_NE(one, table.intern(base::as_bytes("SELECT $1\0\0\1\0\0\0\x17"sv)));
  EXPECT_EQ(one->text(), "SELECT $1");
}

TEST(StatementTable, NamesAreNeverUsedTwice) {
  StatementTable table;
  std::set<std::string> names;
  for (int i = 0; i < 100; ++i) names.insert(intern(table, "SELECT " + std::to_string(i % 2))->name);
  EXPECT_EQ(names.size(), 100U) << "a name may still stand for a dead statement on some server";
  EXPECT_TRUE(names.begin()->starts_with("penstock_"));
}

TEST(StatementTable, KnowsTheKindOfAStatement) {
  StatementTable table;
  EXPECT_EQ(intern(table, "SELECT 1")->kind, pgwire::StatementKind::kOther);
  EXPECT_EQ(intern(table, "deallocate all")->kind, pgwire::StatementKind::kDeallocateAll);
  EXPECT_EQ(intern(table, "DISCARD ALL")->kind, pgwire::StatementKind::kDiscardAll);
}

TEST(StatementTable, GivesAllThreadsTheSameObject) {
  constexpr int kThreads = 4;
  constexpr int kTexts = 200;
  StatementTable table;
  std::vector<std::vector<StatementPtr>> found(kThreads);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found) {
      threads.emplace_back([&table, &mine] {
        for (int i = 0; i < kTexts; ++i) mine.push_back(intern(table, "SELECT " + std::to_string(i)));
      });
    }
  }
  std::set<std::string> names;
  for (int i = 0; i < kTexts; ++i) {
    for (const auto& mine : found)
      EXPECT_EQ(mine[static_cast<std::size_t>(i)], found[0][static_cast<std::size_t>(i)]);
    names.insert(found[0][static_cast<std::size_t>(i)]->name);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kTexts));
}

struct Prepared : ::testing::Test {
  StatementTable table;
  StatementPtr a = intern(table, "a"), b = intern(table, "b"), c = intern(table, "c");
  PreparedSet set;
};

TEST_F(Prepared, RemembersWhenAStatementWasPrepared) {
  EXPECT_EQ(set.prepared_at(*a), std::nullopt);
  set.insert(a, 5);
  set.insert(b, 7);
  EXPECT_EQ(set.prepared_at(*a), 5);
  set.insert(a, 9);
  EXPECT_EQ(set.prepared_at(*a), 9);
  EXPECT_EQ(set.size(), 2U);
  set.erase(*a);
  set.erase(*a);
  EXPECT_EQ(set.prepared_at(*a), std::nullopt);
  EXPECT_EQ(set.prepared_at(*b), 7);
}

TEST_F(Prepared, EvictsTheLeastRecentlyUsed) {
  set.insert(a, 1);
  set.insert(b, 2);
  set.insert(c, 3);
  EXPECT_EQ(set.evict(3), nullptr);
  set.touch(*a);
  EXPECT_EQ(set.evict(2), b);
  EXPECT_EQ(set.prepared_at(*b), std::nullopt);
  EXPECT_EQ(set.evict(2), nullptr);
  set.insert(c, 4);  // prepared anew counts as used
  EXPECT_EQ(set.evict(1), a);
  EXPECT_EQ(set.evict(0), c);
  EXPECT_EQ(set.evict(0), nullptr);
}

TEST_F(Prepared, TouchingWhatIsNotThereDoesNothing) {
  set.touch(*a);
  EXPECT_EQ(set.size(), 0U);
}

TEST_F(Prepared, DoubtKeepsTheEntryButNotItsTime) {
  set.insert(a, 1);
  set.doubt(a);
  set.doubt(b);  // closed, or perhaps not
  EXPECT_EQ(set.prepared_at(*a), 0);
  EXPECT_EQ(set.prepared_at(*b), 0);
  set.insert(a, 3);
  EXPECT_EQ(set.prepared_at(*a), 3);
  set.insert(c, 4);
  set.doubt_all();
  for (const auto& statement : {a, b, c}) EXPECT_EQ(set.prepared_at(*statement), 0);
  set.clear();
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(set.evict(0), nullptr);
}

TEST_F(Prepared, KeepsWhatItHoldsAlive) {
  set.insert(intern(table, "held"), 1);
  const auto again = intern(table, "held");
  EXPECT_EQ(set.prepared_at(*again), 1);
}

}  // namespace
}  // namespace penstock::upstream
