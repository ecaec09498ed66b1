// How many upstreams there may be, and for how long.
#include <gmock/gmock.h>

#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PoolLimitsTest : public PoolTest {
 public:
  void come_many(int count) {
    for (int i = 0; i < count; ++i) come("client " + std::to_string(i));
  }
  std::size_t served() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(customers, [](const auto& one) { return one.served(); }));
  }
};

TEST_F(PoolLimitsTest, OpensNoMoreThanItsSize) {
  config.size = 3;
  make_pool();
  come_many(5);
  let(seconds(2));
  EXPECT_EQ(server->peers.size(), 3U);
  EXPECT_EQ(served(), 3U);
}

TEST_F(PoolLimitsTest, OpensConnectionsSideBySide) {
  config.size = 5;
  make_pool();
  run([&] {
    for (int i = 0; i < 5; ++i) pool().check_out(customer("x"), nullptr);
    EXPECT_EQ(pool().counts().dialling, 5U);
  });
  let(milliseconds(100));
  EXPECT_EQ(served(), 5U);
}

TEST_F(PoolLimitsTest, WithoutASizeOpensOneForEverybody) {
  config.size = 0;
  make_pool();
  come_many(30);
  let(seconds(2));
  EXPECT_EQ(served(), 30U);
}

TEST_F(PoolLimitsTest, OpensTheReserveForWhoHasWaitedLong) {
  config.size = 1;
  config.reserve_size = 1;
  config.reserve_timeout = milliseconds(500);
  make_pool();
  come_many(3);
  let(milliseconds(480));
  EXPECT_EQ(served(), 1U);
  let(milliseconds(100));
  EXPECT_EQ(served(), 2U);
  let(seconds(5));
  EXPECT_EQ(served(), 2U) << "the reserve has an end, too";
}

TEST_F(PoolLimitsTest, KeepsItsLeastNumberFromTheStart) {
  config.size = 5;
  config.min_size = 3;
  config.idle_timeout = seconds(10);
  make_pool();
  let(seconds(10));
  EXPECT_EQ(pool().counts().idle, 3U);
  let(seconds(60));
  EXPECT_EQ(pool().counts().idle, 3U) << "however long they are idle";
  on_server([&] { server->peer(0).close(); });
  let(seconds(5));
  EXPECT_EQ(pool().counts().idle, 3U);
}

TEST_F(PoolLimitsTest, ClosesWhatHasBeenIdleForLong) {
  config.idle_timeout = seconds(10);
  make_pool();
  Customer& one = serve("one");
  give_back(serve("two"));
  let(seconds(9));
  EXPECT_EQ(server->open_peers(), 2U);
  let(seconds(3));
  EXPECT_EQ(server->open_peers(), 1U);
  EXPECT_TRUE(peer_of(one).open()) << "it is in use";
}

TEST_F(PoolLimitsTest, ClosesWhatIsOldOnceItIsFree) {
  config.lifetime = seconds(10);
  make_pool();
  Customer& one = serve("one");
  give_back(serve("two"));
  let(seconds(12));
  EXPECT_FALSE(server->peer(1).open()) << "idle";
  EXPECT_TRUE(server->peer(0).open()) << "in use";
  give_back(one);
  let(milliseconds(100));
  EXPECT_EQ(server->open_peers(), 0U);
}

TEST_F(PoolLimitsTest, LifetimeAndIdleTimeCountAfterAConnectQuery) {
  config.connect_query = "SET role app";
  config.idle_timeout = seconds(10);
  make_pool();
  give_back(serve("one"));
  let(seconds(15));
  EXPECT_EQ(server->open_peers(), 0U);
}

TEST_F(PoolLimitsTest, AnOldUpstreamIsReplacedForWhoWaits) {
  config.size = 1;
  config.lifetime = seconds(10);
  make_pool();
  Customer& one = serve("one");
  Customer& two = come("two");
  let(seconds(12));
  give_back(one);
  let(milliseconds(100));
  EXPECT_TRUE(two.served());
  EXPECT_EQ(server->peers.size(), 2U);
}

TEST_F(PoolLimitsTest, OpensNoMoreInASecondThanItMay) {
  config.size = 100;
  config.connects_per_second = 20;
  make_pool();
  come_many(60);
  let(milliseconds(50));
  EXPECT_LE(server->peers.size(), 4U);
  let(seconds(1));
  EXPECT_NEAR(static_cast<double>(server->peers.size()), 22.0, 2.0);
  let(seconds(3));
  EXPECT_EQ(served(), 60U);
}

TEST_F(PoolLimitsTest, RetiringClosesIdleOnesAndTheOthersWhenTheyComeBack) {
  make_pool();
  Customer& one = serve("one");
  give_back(serve("two"));
  run([&] { pool().retire_upstreams(); });
  let(milliseconds(100));
  EXPECT_FALSE(server->peer(1).open());
  EXPECT_TRUE(server->peer(0).open());
  give_back(one);
  let(milliseconds(100));
  EXPECT_EQ(server->open_peers(), 0U);
  EXPECT_TRUE(pool().quiet());
  serve("three");
  EXPECT_EQ(server->open_peers(), 1U);
}

TEST_F(PoolLimitsTest, ANewPlanLeavesOldConnectionsBehind) {
  make_pool();
  Customer& one = serve("one");
  give_back(serve("two"));
  sim::ScriptedPostgres elsewhere(*far, "10.0.0.6");
  plan.hosts = {{.host = "10.0.0.6"}};
  run([&] { pool().change_config(make_config()); });
  let(milliseconds(100));
  EXPECT_EQ(server->open_peers(), 1U);
  give_back(one);
  serve("three");
  EXPECT_EQ(elsewhere.open_peers(), 1U);
  EXPECT_EQ(server->open_peers(), 0U);
}

TEST_F(PoolLimitsTest, AConnectionOnItsWayToTheOldHostIsNotWaitedFor) {
  config.size = 1;
  make_pool();
  server->script = [](sim::ScriptedPeer&, const sim::Message&) {
    return true;
  };  // says nothing, as a host that hangs
  Customer& one = come("one");
  let(milliseconds(100));
  EXPECT_EQ(pool().counts().dialling, 1U);
  sim::ScriptedPostgres elsewhere(*far, "10.0.0.6");
  plan.hosts = {{.host = "10.0.0.6"}};
  run([&] { pool().change_config(make_config()); });
  let(milliseconds(100));
  EXPECT_TRUE(one.served());
  EXPECT_EQ(elsewhere.open_peers(), 1U);
  EXPECT_EQ(server->open_peers(), 0U);
}

TEST_F(PoolLimitsTest, ANewConfigWithTheSamePlanKeepsConnections) {
  make_pool();
  give_back(serve("one"));
  change([](PoolConfig& each) { each.size = 1; });
  serve("two");
  come("three");
  let(seconds(1));
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolLimitsTest, RefusesClientsBeyondThoseThatMayWait) {
  config.size = 1;
  config.max_waiting = 2;
  make_pool();
  Customer& holder = serve("holder");
  Customer& first = come("first");
  Customer& second = come("second");
  Customer& third = come("third");
  ASSERT_TRUE(third.refused.has_value());
  EXPECT_EQ(third.refused->sqlstate, base::kTooManyConnections);
  EXPECT_THAT(third.refused->detail, HasSubstr("max_waiting_clients"));
  give_back(holder);
  EXPECT_TRUE(first.served());
  EXPECT_FALSE(come("fourth").refused.has_value()) << "a place in the queue has become free";
  EXPECT_TRUE(come("fifth").refused.has_value());
  run([&] { second.stop_waiting(); });
  EXPECT_FALSE(come("sixth").refused.has_value()) << "who gives up leaves a place, too";
}

TEST_F(PoolLimitsTest, CountsThoseWhoWaitOnAllWorkers) {
  config.size = 1;
  config.max_waiting = 1;
  make_pool();
  make_pool();
  serve("holder");
  come("waits here");
  EXPECT_TRUE(come("there", nullptr, 1).refused.has_value());
}

class PoolPercentTest : public PoolLimitsTest {
 public:
  PoolPercentTest() {
    config.size = 1;
    config.size_percent = 25;
  }
  // What the server answers when it is asked how many connections it has.
  void have(const std::string& connections) {
    server->script = [this, connections](sim::ScriptedPeer& peer, const sim::Message& message) {
      if (message.type != 'Q' || message.body.find("max_connections") == std::string::npos) return false;
      ++asked;
      peer.send(sim::data_row({connections}) + sim::message('C', sim::zero_ended("SELECT 1")));
      peer.ready();
      return true;
    };
  }
  int asked = 0;
};

TEST_F(PoolPercentTest, IsAShareOfWhatTheServerHas) {
  have("20");
  make_pool();
  EXPECT_EQ(pool().size(), 1) << "not known yet";
  come_many(8);
  let(seconds(2));
  EXPECT_EQ(pool().size(), 5);
  EXPECT_EQ(served(), 5U);
  EXPECT_LE(asked, 2);
}

TEST_F(PoolPercentTest, WithoutAnAnswerTheSizeCounts) {
  make_pool();
  come_many(3);
  let(seconds(2));
  EXPECT_EQ(served(), 1U);
}

TEST_F(PoolPercentTest, IsAtLeastOne) {
  config.size_percent = 1;
  have("20");
  make_pool();
  come_many(3);
  let(seconds(2));
  EXPECT_EQ(served(), 1U);
}

TEST_F(PoolPercentTest, FollowsAServerThatHasRestarted) {
  have("20");
  make_pool();
  give_back(serve("one"));
  let(seconds(5));
  on_server([&] { server->peer(0).close(); });
  have("40");
  serve("two");
  EXPECT_EQ(pool().size(), 10);
}

// Two pools of one database, which may have so many connections in all.
class PoolSharedLimitTest : public PoolTest {
 public:
  PoolSharedLimitTest() { config.max_upstreams_of_database = 2; }
  // Alice's is pool 0, Bob's is 1.
  void make_both_pools() {
    make_pool("acme/shop/alice");
    config.user = "bob";
    make_pool("acme/shop/bob");
  }
};

TEST_F(PoolSharedLimitTest, AnIdleUpstreamOfAnotherPoolMakesRoom) {
  make_both_pools();
  Customer& one = serve("one");
  give_back(serve("two"));
  Customer& bob = come("bob", nullptr, 1);
  let(milliseconds(500));
  EXPECT_TRUE(bob.served());
  EXPECT_TRUE(peer_of(one).open());
  EXPECT_EQ(server->open_peers(), 2U);
}

TEST_F(PoolSharedLimitTest, AnUpstreamInUseDoesNot) {
  make_both_pools();
  Customer& one = serve("one");
  serve("two");
  Customer& bob = come("bob", nullptr, 1);
  let(seconds(3));
  EXPECT_FALSE(bob.served());
  EXPECT_EQ(server->open_peers(), 2U);
  give_back(one);
  let(seconds(1));
  EXPECT_TRUE(bob.served());
}

TEST_F(PoolSharedLimitTest, ItsOwnSizeIsNotMadeRoomForByOthers) {
  make_pool("acme/shop/alice");
  config.user = "bob";
  config.size = 1;
  make_pool("acme/shop/bob");
  give_back(serve("one"));
  serve("bob", nullptr, 1);
  come("bob's second", nullptr, 1);
  let(seconds(1));
  EXPECT_EQ(workers[0].pool->counts().idle, 1U);
}

TEST_F(PoolSharedLimitTest, WhoHasWaitedLongerGetsTheRoomOfABusyPool) {
  make_both_pools();
  Customer& one = serve("one");
  serve("two");
  Customer& bob = come("bob", nullptr, 1);
  let(milliseconds(100));
  Customer& late = come("late");
  let(milliseconds(100));
  give_back(one);
  let(milliseconds(30));
  EXPECT_FALSE(late.served());
  let(seconds(1));
  EXPECT_TRUE(bob.served());
  EXPECT_FALSE(late.served());
}

TEST_F(PoolSharedLimitTest, WhoCameLaterDoesNot) {
  make_both_pools();
  Customer& one = serve("one");
  serve("two");
  Customer& early = come("early");
  let(milliseconds(100));
  Customer& bob = come("bob", nullptr, 1);
  let(milliseconds(100));
  give_back(one);
  let(milliseconds(100));
  EXPECT_TRUE(early.served());
  EXPECT_FALSE(bob.served());
}

TEST_F(PoolSharedLimitTest, YieldsOnlyInAScopeOfItsOwnAndOnlyWhatSomebodyWaitsFor) {
  make_pool();
  give_back(serve("one"));
  give_back(serve("two"));
  const auto ours = ledger.scope("upstreams of database acme/shop");
  const auto others = ledger.scope("upstreams of database other/shop");
  RoomLine::Ticket here(this, [] {});
  RoomLine::Ticket there(this, [] {});
  there.stand(others->line, world.now());
  run([&] {
    EXPECT_FALSE(pool().yield_idle(others));
    EXPECT_FALSE(pool().yield_idle(ours));
    here.stand(ours->line, world.now());
    EXPECT_TRUE(pool().yield_idle(ours));
    EXPECT_FALSE(pool().yield_idle(ours)) << "one ticket is worth one connection";
  });
  let(milliseconds(100));
  EXPECT_EQ(ours->open, server->open_peers());
}

TEST_F(PoolSharedLimitTest, ALowerLimitClosesWhatIsBeyond) {
  config.size = 4;
  config.max_upstreams_of_database = 4;
  make_both_pools();
  Customer& one = serve("one");
  Customer& two = serve("two");
  give_back(serve("three"));
  Customer& bob = serve("bob", nullptr, 1);
  change([](PoolConfig& each) { each.max_upstreams_of_database = 1; });
  let(seconds(2));
  EXPECT_EQ(server->open_peers(), 3U) << "nobody's connection is taken away";
  give_back(one);
  give_back(bob, false, 1);
  let(milliseconds(100));
  EXPECT_EQ(server->open_peers(), 1U);
  give_back(two);
  let(seconds(2));
  EXPECT_EQ(server->open_peers(), 1U) << "what is left is kept";
}

// Many pools that have few connections together.
class PoolCrowdTest : public PoolTest {
 public:
  static constexpr unsigned kPools = 60;
  PoolCrowdTest() {
    config.max_upstreams_of_process = 3;
    for (unsigned i = 0; i < kPools; ++i) {
      config.user = "user" + std::to_string(i);
      config.tenant = "tenant" + std::to_string(i);
      make_pool(config.tenant + "/shop/" + config.user);
    }
  }
  // Who is served keeps its connection for so long.
  void serve_all(base::Duration each, base::Duration time) {
    for (const base::TimePoint until = world.now() + time; world.now() < until;) {
      let(each);
      for (std::size_t i = 0; i < customers.size(); ++i) {
        if (customers[i].served()) give_back(customers[i], false, static_cast<unsigned>(i % kPools));
      }
    }
  }
};

TEST_F(PoolCrowdTest, AreServedInOrderOfArrival) {
  std::vector<std::string> arrival;
  for (unsigned i = 0; i < kPools; ++i) {
    arrival.push_back("client " + std::to_string(i));
    come(arrival.back(), nullptr, i);
    let(milliseconds(1));
  }
  serve_all(milliseconds(10), milliseconds(10) * (kPools / 3 + 10));
  ASSERT_EQ(order.size(), kPools) << "without a pause between them";
  // Three are served at a time, and log-ins take as long as chance has it.
  for (std::size_t i = 0; i < kPools; ++i) {
    const auto place = std::ranges::find(order, arrival[i]) - order.begin();
    EXPECT_LE(std::abs(place - static_cast<std::ptrdiff_t>(i)), 6) << arrival[i];
  }
}

TEST_F(PoolCrowdTest, WhoGivesUpOrGoesHoldsUpNobody) {
  for (unsigned i = 0; i < kPools; ++i) come("client " + std::to_string(i), nullptr, i);
  let(milliseconds(100));
  for (unsigned i = 3; i + 1 < kPools; ++i) {
    run_on(workers[i], [&] {
      customers[i].stop_waiting();
      if (i % 2 == 0) workers[i].pool.reset();
    });
  }
  give_back(customers[0]);
  let(milliseconds(20));
  EXPECT_TRUE(customers.back().served());
}

TEST_F(PoolCrowdTest, AHigherLimitIsUsedByAllAtOnce) {
  for (unsigned i = 0; i < kPools; ++i) come("client " + std::to_string(i), nullptr, i);
  let(milliseconds(100));
  EXPECT_EQ(order.size(), 3U);
  change([](PoolConfig& each) { each.max_upstreams_of_process = 20; });
  let(milliseconds(50));
  EXPECT_EQ(order.size(), 20U);
}

TEST_F(PoolCrowdTest, ALineThatWaitsForNothingIsLeft) {
  serve("one", nullptr, 0);
  serve("two", nullptr, 1);
  serve("three", nullptr, 2);
  Customer& four = come("four", nullptr, 3);
  let(milliseconds(300));
  run_on(workers[3], [&] { four.stop_waiting(); });
  let(milliseconds(300));
  give_back(customers[0]);
  let(milliseconds(100));
  EXPECT_EQ(workers[0].pool->counts().idle, 1U) << "nobody wants it";
}

}  // namespace
}  // namespace penstock::pool
