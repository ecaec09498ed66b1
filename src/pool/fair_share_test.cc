#include "pool/fair_share.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace penstock::pool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FairShareTest : public ::testing::Test {
 public:
  // The tenant's limit, and the guarantees of its users.
  void have(int places, const std::map<std::string, int>& guarantees) {
    int sum = 0;
    for (const auto& [name, guaranteed] : guarantees) sum += guaranteed;
    for (const auto& [name, guaranteed] : guarantees) {
      auto& stake = stakes[name];
      if (stake == nullptr) stake = std::make_shared<Stake>(share);
      stake->set_terms({.places = places, .guaranteed_all = sum, .guaranteed = guaranteed});
    }
  }
  // Whose client has waited since the moment of the first attempt.
  bool take(const std::string& name) {
    const base::TimePoint since = waits.try_emplace(name, now).first->second;
    if (!stakes.at(name)->take(since, now)) return false;
    waits.erase(name);
    ++open[name];
    return true;
  }
  int take_all(const std::string& name) {
    while (take(name)) {
    }
    return open[name];
  }
  void give_back(const std::string& name) {
    stakes.at(name)->give_back();
    --open[name];
  }
  // A connection of the user comes back from a client: closed for another user?
  bool comes_back(const std::string& name) {
    if (!stakes.at(name)->is_asked() || !stakes.at(name)->yields_busy(now)) return false;
    give_back(name);
    return true;
  }
  bool gives_idle(const std::string& name, base::Duration idle) {
    if (!stakes.at(name)->yields_idle(now - idle, now)) return false;
    give_back(name);
    return true;
  }

  std::shared_ptr<FairShare> share = std::make_shared<FairShare>();
  std::map<std::string, StakePtr> stakes;
  std::map<std::string, base::TimePoint> waits;
  std::map<std::string, int> open;
  base::TimePoint now = base::TimePoint() + seconds(1000);
};

TEST_F(FairShareTest, WithoutALimitEverybodyTakes) {
  have(0, {{"web", 2}, {"jobs", 0}});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(take("jobs"));
  EXPECT_TRUE(take("web"));
}

TEST_F(FairShareTest, KeepsFreeWhatIsGuaranteedToOthers) {
  have(10, {{"web", 3}, {"jobs", 0}});
  EXPECT_EQ(take_all("jobs"), 7);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(take("web")) << i;
  EXPECT_FALSE(take("web"));
}

TEST_F(FairShareTest, KeepsItFreeForUsersWhoHaveNoPoolYet) {
  have(4, {{"jobs", 0}});
  stakes["jobs"]->set_terms({.places = 4, .guaranteed_all = 3, .guaranteed = 0});
  EXPECT_EQ(take_all("jobs"), 1);
}

TEST_F(FairShareTest, WhatIsGuaranteedCannotBeTakenAway) {
  have(4, {{"web", 2}, {"jobs", 0}});
  EXPECT_TRUE(take("web") && take("web"));
  EXPECT_EQ(take_all("jobs"), 2);
  EXPECT_FALSE(take("jobs"));
  now += seconds(10);
  EXPECT_FALSE(take("jobs"));
  EXPECT_FALSE(comes_back("web"));
  EXPECT_FALSE(gives_idle("web", seconds(10)));
}

TEST_F(FairShareTest, MovesPlacesUntilAllHaveTheSame) {
  have(8, {{"web", 0}, {"jobs", 0}});
  EXPECT_EQ(take_all("jobs"), 8);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(take("web"));
    EXPECT_TRUE(comes_back("jobs"));
    EXPECT_TRUE(take("web"));
  }
  EXPECT_EQ(open["web"], 4);
  EXPECT_EQ(open["jobs"], 4);
  EXPECT_FALSE(take("web"));
  EXPECT_FALSE(comes_back("jobs")) << "it has no more than the other";
}

TEST_F(FairShareTest, OneRefusalMovesOnePlace) {
  have(8, {{"web", 0}, {"jobs", 0}});
  take_all("jobs");
  EXPECT_FALSE(take("web"));
  EXPECT_TRUE(comes_back("jobs"));
  EXPECT_FALSE(comes_back("jobs"));
}

TEST_F(FairShareTest, APlaceThatWasGivenUpIsNotTakenBack) {
  have(4, {{"web", 0}, {"jobs", 0}});
  take_all("jobs");
  now += seconds(5);  // the clients of "jobs" have waited for long
  EXPECT_FALSE(take("web"));
  EXPECT_TRUE(comes_back("jobs"));
  EXPECT_FALSE(take("jobs"));
  EXPECT_TRUE(take("web"));
}

TEST_F(FairShareTest, AWishThatIsNotRepeatedIsForgotten) {
  have(4, {{"web", 0}, {"jobs", 0}});
  take_all("jobs");
  EXPECT_FALSE(take("web"));
  now += FairShare::kWishLife + milliseconds(1);
  EXPECT_FALSE(comes_back("jobs"));
  give_back("jobs");
  EXPECT_TRUE(take("jobs"));
}

TEST_F(FairShareTest, GuaranteesComeFirstWhereALimitHasBeenLowered) {
  have(6, {{"web", 0}, {"jobs", 0}});
  EXPECT_EQ(take_all("jobs"), 6);
  have(4, {{"web", 2}, {"jobs", 0}});
  EXPECT_FALSE(take("web"));
  EXPECT_TRUE(comes_back("jobs"));
  EXPECT_FALSE(take("web"));
  EXPECT_TRUE(comes_back("jobs"));
  EXPECT_FALSE(take("web"));
  EXPECT_TRUE(comes_back("jobs"));
  EXPECT_TRUE(take("web"));
}

TEST_F(FairShareTest, UsersTakeTurnsWithWhatCannotBeDivided) {
  have(1, {{"a", 0}, {"b", 0}, {"c", 0}});
  std::map<std::string, int> turns;
  std::map<std::string, base::Duration> longest;
  std::map<std::string, base::TimePoint> had;
  for (const auto& [name, stake] : stakes) had[name] = now;
  std::string holder;
  for (int step = 0; step < 3000; ++step) {
    now += milliseconds(10);
    if (!holder.empty() && comes_back(holder)) {
      had[holder] = now;
      holder.clear();
    }
    for (const auto& [name, stake] : stakes) {
      if (name == holder || !take(name)) continue;
      ASSERT_TRUE(holder.empty());
      holder = name;
      ++turns[name];
      longest[name] = std::max(longest[name], now - had[name]);
    }
  }
  for (const auto& [name, stake] : stakes) {
    EXPECT_GT(turns[name], 50) << name;
    EXPECT_LT(longest[name], milliseconds(300)) << name;
  }
  EXPECT_LT(turns["a"] + turns["b"] + turns["c"], 310) << "each turn lasts kTurn";
}

TEST_F(FairShareTest, WhoHasSomeAlreadyTakesTurnsLessOften) {
  have(3, {{"a", 0}, {"b", 0}});
  EXPECT_TRUE(take("b"));
  EXPECT_EQ(take_all("a"), 2);
  EXPECT_FALSE(take("b"));
  now += milliseconds(190);
  EXPECT_FALSE(take("b"));
  EXPECT_FALSE(comes_back("a"));
  for (int i = 0; i < 10; ++i) {
    now += milliseconds(100);
    EXPECT_FALSE(take("b"));
  }
  EXPECT_TRUE(comes_back("a"));
  EXPECT_TRUE(take("b"));
}

TEST_F(FairShareTest, NobodyGivesItsLastOneToWhoHasItsGuarantee) {
  have(4, {{"web", 3}, {"jobs", 0}});
  EXPECT_TRUE(take("jobs"));
  EXPECT_EQ(take_all("web"), 3);
  for (int i = 0; i < 30; ++i) {
    now += milliseconds(100);
    EXPECT_FALSE(take("web"));
    EXPECT_FALSE(comes_back("jobs"));
  }
}

TEST_F(FairShareTest, AnIdleConnectionGoesToWhoHasLess) {
  have(4, {{"web", 0}, {"jobs", 0}});
  take_all("jobs");
  take("web");
  EXPECT_TRUE(gives_idle("jobs", milliseconds(0)));
  EXPECT_FALSE(gives_idle("jobs", milliseconds(0))) << "one for each wish";
}

TEST_F(FairShareTest, AnIdleConnectionOfWhoHasNoMoreStaysForAWhile) {
  have(4, {{"web", 0}, {"jobs", 0}});
  EXPECT_TRUE(take("jobs") && take("jobs"));
  EXPECT_EQ(take_all("web"), 2);
  EXPECT_FALSE(gives_idle("jobs", milliseconds(900)));
  EXPECT_TRUE(gives_idle("jobs", milliseconds(1000)));
}

// Whatever users do: the limit holds, guarantees hold, and who keeps asking is served.
TEST_F(FairShareTest, HoldsUnderAnyLoad) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    share = std::make_shared<FairShare>();
    stakes.clear();
    waits.clear();
    open.clear();
    std::mt19937 random(seed);
    const std::map<std::string, int> guarantees{{"a", 0}, {"b", 2}, {"c", 0}, {"d", 1}};
    const int places = 4 + static_cast<int>(random() % 6);
    have(places, guarantees);
    std::map<std::string, base::TimePoint> wants;
    for (int step = 0; step < 5000; ++step) {
      now += milliseconds(random() % 20);
      for (const auto& [name, guaranteed] : guarantees) {
        // "a" is greedy: it always wants more. The others want three at most.
        const bool wanting = name == "a" || open[name] < 3;
        if (wanting && take(name)) wants.erase(name);
        if (wanting && open[name] == 0) wants.try_emplace(name, now);
        if (open[name] < guaranteed) {
          EXPECT_TRUE(take(name)) << name << ", seed " << seed;
        }
        if (open[name] > 0 && random() % 4 == 0 && !comes_back(name) && name != "a" && random() % 8 == 0) {
          give_back(name);
        }
      }
      int sum = 0;
      for (const auto& [name, number] : open) sum += number;
      ASSERT_LE(sum, places) << "seed " << seed;
      ASSERT_LE(open["a"] + open["c"], places - 3) << "seed " << seed;
      for (const auto& [name, since] : wants) {
        ASSERT_LT(now - since, seconds(3)) << name << ", seed " << seed << ", step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace penstock::pool
