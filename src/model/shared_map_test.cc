#include "model/shared_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace penstock::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Map = SharedMap<int>;
using Plain = std::map<std::string, int>;

Plain plain(const Map& map) {
  Plain all;
  map.for_each([&](const std::string& key, int value) { all[key] = value; });
  EXPECT_EQ(all.size(), map.size());
  return all;
}

std::vector<std::string> differences(const Map& before, const Map& after) {
  std::vector<std::string> found;
  Map::each_difference(before, after, [&](const std::string& key, const int* old, const int* now) {
    found.push_back(key + ":" + (old ? std::to_string(*old) : "-") + ">" +
                    (now ? std::to_string(*now) : "-"));
  });
  return found;
}

TEST(SharedMap, FindsWhatIsThereAndNothingElse) {
  Map map({{"b", 2}, {"a", 1}, {"b", 2}});
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(*map.find("a"), 1);
  EXPECT_EQ(*map.find("b"), 2);
  EXPECT_EQ(map.find(""), nullptr);
  EXPECT_EQ(map.find("c"), nullptr);
  EXPECT_EQ(Map().find("a"), nullptr);
}

TEST(SharedMap, AChangedCopyLeavesTheOriginalAlone) {
  const Map original({{"a", 1}, {"b", 2}});
  Map copy = original;
  copy.set("a", 7);
  copy.set("c", 3);
  copy.erase("b");
  copy.erase("nobody");
  EXPECT_EQ(plain(original), (Plain{{"a", 1}, {"b", 2}}));
  EXPECT_EQ(plain(copy), (Plain{{"a", 7}, {"c", 3}}));
  EXPECT_THAT(differences(original, copy), ElementsAre("a:1>7", "b:2>-", "c:->3"));
  EXPECT_THAT(differences(original, Map(original)), IsEmpty());
  EXPECT_THAT(differences({}, original), ElementsAre("a:->1", "b:->2"));
}

TEST(SharedMap, GoesOnFromAKey) {
  std::vector<Map::Entry> entries;
  for (int number = 100; number < 999; ++number) entries.emplace_back(std::to_string(number), number);
  const Map map(std::move(entries));
  std::vector<int> found;
  map.for_each_from("4985", [&](const std::string&, int number) {
    found.push_back(number);
    return found.size() < 3;
  });
  EXPECT_THAT(found, ElementsAre(499, 500, 501));
}

// Against the standard's map, through some thousand versions.
TEST(SharedMap, IsAMapWhateverIsDoneToIt) {
  std::mt19937 random(7);
  Map map;
  Plain expected;
  for (int step = 0; step < 6000; ++step) {
    const Map before = map;
    const Plain was = expected;
    const std::string key = std::to_string(random() % 1500);
    // It grows first and shrinks then.
    if (random() % 10 < (step < 3000 ? 8 : 2)) {
      map.set(key, step);
      expected[key] = step;
    } else {
      map.erase(key);
      expected.erase(key);
    }
    ASSERT_EQ(map.size(), expected.size());
    const int* found = map.find(key);
    ASSERT_EQ(found != nullptr, expected.contains(key));
    ASSERT_LE(differences(before, map).size(), 1U);
    if (step % 100 == 0) {
      ASSERT_EQ(plain(map), expected);
      ASSERT_EQ(plain(before), was);
    }
  }
  EXPECT_EQ(plain(map), expected);
  EXPECT_EQ(differences({}, map).size(), map.size());
}

}  // namespace
}  // namespace penstock::model
