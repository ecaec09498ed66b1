#include "session/cancel_registry.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace penstock::session {
namespace {

class CancelRegistryTest : public ::testing::Test {
 public:
  base::SeededRandom random{1};
  CancelRegistry registry{random};
};

TEST_F(CancelRegistryTest, FindsTheClientOfAKey) {
  const auto one = registry.add({.worker = 1, .session = 11}, 4, random);
  const auto two = registry.add({.worker = 2, .session = 22}, 32, random);
  EXPECT_EQ(one.key.size(), 4U);
  EXPECT_EQ(two.key.size(), 32U);
  const auto owner = registry.find(two.process_id, two.key);
  ASSERT_TRUE(owner.has_value());
  EXPECT_EQ(owner->worker, 2U);
  EXPECT_EQ(owner->session, 22U);
  EXPECT_EQ(registry.find(one.process_id, one.key)->session, 11U);
}

TEST_F(CancelRegistryTest, AWrongKeyFindsNobody) {
  for (const std::size_t bytes : {4U, 32U}) {
    const auto mine = registry.add({.worker = 1, .session = 11}, bytes, random);
    for (std::size_t at = 0; at < bytes; ++at) {
      std::string wrong = mine.key;
      wrong[at] = static_cast<char>(wrong[at] ^ 1);
      EXPECT_FALSE(registry.find(mine.process_id, wrong).has_value()) << "byte " << at;
    }
  }
}

TEST_F(CancelRegistryTest, AKeyOfAnotherLengthFindsNobody) {
  const auto mine = registry.add({.worker = 1, .session = 11}, 32, random);
  EXPECT_FALSE(registry.find(mine.process_id, mine.key.substr(0, 4)).has_value());
  EXPECT_FALSE(registry.find(mine.process_id, "").has_value());
  EXPECT_FALSE(registry.find(mine.process_id, mine.key + '\0').has_value());
}

TEST_F(CancelRegistryTest, AnotherProcessIdFindsNobody) {
  const auto one = registry.add({.worker = 1, .session = 11}, 32, random);
  const auto two = registry.add({.worker = 1, .session = 12}, 32, random);
  EXPECT_FALSE(registry.find(one.process_id, two.key).has_value());
  EXPECT_FALSE(registry.find(one.process_id + 1, one.key).has_value());
  EXPECT_FALSE(registry.find(0, one.key).has_value());
}

TEST_F(CancelRegistryTest, FindsAClientThatHasMoved) {
  const auto mine = registry.add({.worker = 1, .session = 11}, 32, random);
  registry.move(mine.process_id, {.worker = 3, .session = 11});
  EXPECT_EQ(registry.find(mine.process_id, mine.key)->worker, 3U);
}

TEST_F(CancelRegistryTest, AClientThatHasGoneIsNotFoundAndDoesNotComeBackByMoving) {
  const auto mine = registry.add({.worker = 1, .session = 11}, 32, random);
  registry.remove(mine.process_id);
  EXPECT_FALSE(registry.find(mine.process_id, mine.key).has_value());
  registry.move(mine.process_id, {.worker = 3, .session = 11});
  EXPECT_FALSE(registry.find(mine.process_id, mine.key).has_value());
}

TEST_F(CancelRegistryTest, ProcessIdsFitASignedNumberAndAreNeverZero) {
  for (int i = 0; i < 10'000; ++i) {
    const auto id = registry.add({}, 4, random).process_id;
    EXPECT_GT(static_cast<std::int32_t>(id), 0);
  }
}

TEST_F(CancelRegistryTest, GivesNoProcessIdTwiceWhateverTheThread) {
  // The same seed everywhere: every number is drawn by every thread.
  std::vector<std::vector<CancelKey>> given(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : given) {
      threads.emplace_back([&] {
        base::SeededRandom same(7);
        for (int i = 0; i < 500; ++i) mine.push_back(registry.add({}, 4, same));
      });
    }
  }
  std::set<std::uint32_t> ids;
  for (const auto& mine : given) {
    for (const auto& key : mine) {
      ids.insert(key.process_id);
      EXPECT_TRUE(registry.find(key.process_id, key.key).has_value());
    }
  }
  EXPECT_EQ(ids.size(), 2000U);
}

}  // namespace
}  // namespace penstock::session
