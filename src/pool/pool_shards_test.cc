// Two shards of one pool, on two workers.
#include <gmock/gmock.h>

#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;

class PoolShardsTest : public PoolTest {
 public:
  PoolShardsTest() {
    config.size = 1;
    make_pool();
    make_pool();
  }
  Pool& here() { return *workers[0].pool; }
  Pool& there() { return *workers[1].pool; }
  int open() { return ledger.scope("upstreams")->open; }
};

TEST_F(PoolShardsTest, AnIdleUpstreamMovesToTheShardWhoseClientWaits) {
  give_back(serve("one"));
  Customer& two = come("two", nullptr, 1);
  let(milliseconds(200));
  ASSERT_TRUE(two.served());
  EXPECT_EQ(server->peers.size(), 1U);
  EXPECT_EQ(two.upstream->process_id, server->peer(0).pid);
  EXPECT_EQ(here().counts().idle, 0U);
  EXPECT_EQ(there().counts().lent, 1U);
  EXPECT_EQ(open(), 1);
  EXPECT_EQ(two.upstream->settings, workers[1].settings.intern(two.upstream->settings->values()))
      << "settings are interned per worker";
}

TEST_F(PoolShardsTest, AShardThatAskedForOneInVainOpensItsOwn) {
  config.size = 2;
  run([&] { here().change_config(make_config()); });
  run_on(workers[1], [&] { there().change_config(make_config()); });
  give_back(serve("one"));
  Customer& quicker = customer("quicker");
  Customer& two = customer("two");
  run_on(workers[1], [&] {
    there().check_out(two, nullptr);
    here().check_out(quicker, nullptr);  // before it hears that it has been asked; and keeps it
  });
  ASSERT_TRUE(quicker.served());
  let(milliseconds(200));
  EXPECT_TRUE(two.served());
  EXPECT_EQ(server->peers.size(), 2U);
}

TEST_F(PoolShardsTest, ClientsOfAShardWithoutAConnectionAreCounted) {
  const auto clients_seen = [&] {
    std::int64_t sum = 0;
    telemetry::PoolCounterTable::Walk walk(counters);
    const auto add = [&](const telemetry::PoolLabels&, const telemetry::PoolCounters& set) {
      sum += set.clients.read();
    };
    while (walk.step(add, telemetry::PoolCounterTable::Clock::now())) {
    }
    return sum;
  };
  run_on(workers[1], [&] { there().add_client(+1); });
  EXPECT_FALSE(there().is_counted()) << "there may be no such database";
  give_back(serve("one"));
  run_on(workers[1], [&] { there().add_client(+1); });
  EXPECT_TRUE(there().is_counted());
  EXPECT_EQ(clients_seen(), 2);
  run_on(workers[1], [&] { there().add_client(-1); });
  EXPECT_EQ(clients_seen(), 1);
}

TEST_F(PoolShardsTest, AMovedUpstreamWorks) {
  give_back(serve("one"));
  Customer& two = serve("two", nullptr, 1);
  run_on(workers[1], [&] { two.upstream->send_query("SELECT 1"); });
  let(milliseconds(100));
  EXPECT_TRUE(two.upstream->clean());
  EXPECT_EQ(server->peer(0).asked(), std::vector<std::string>{"SELECT 1"});
}

TEST_F(PoolShardsTest, AReleasedUpstreamGoesWhereSomebodyHasWaitedLonger) {
  Customer& one = serve("one");
  Customer& far_waiter = come("far", nullptr, 1);
  let(milliseconds(50));
  Customer& near_waiter = come("near");
  let(milliseconds(50));
  give_back(one);
  let(milliseconds(100));
  EXPECT_TRUE(far_waiter.served());
  EXPECT_FALSE(near_waiter.served());
  give_back(far_waiter, false, 1);
  let(milliseconds(100));
  EXPECT_TRUE(near_waiter.served());
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolShardsTest, ItStaysForAWaiterWhoIsNotMuchYounger) {
  Customer& one = serve("one");
  Customer& far_waiter = come("far", nullptr, 1);
  let(milliseconds(2));
  Customer& near_waiter = come("near");
  give_back(one);
  EXPECT_TRUE(near_waiter.served());
  EXPECT_FALSE(far_waiter.served());
}

TEST_F(PoolShardsTest, AWaiterWhoHasGivenUpDrawsNothing) {
  Customer& one = serve("one");
  Customer& gone = come("gone", nullptr, 1);
  let(milliseconds(100));
  run_on(workers[1], [&] { gone.stop_waiting(); });
  let(milliseconds(100));
  give_back(one);
  let(milliseconds(100));
  EXPECT_EQ(here().counts().idle, 1U);
  EXPECT_EQ(there().counts().idle, 0U);
}

TEST_F(PoolShardsTest, TheSizeHoldsForBothTogether) {
  serve("one");
  Customer& two = come("two", nullptr, 1);
  let(seconds(2));
  EXPECT_FALSE(two.served());
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolShardsTest, WhatOneKnowsOfTheServerTheOtherKnows) {
  EXPECT_EQ(there().parameters(), nullptr);
  serve("one");
  ASSERT_NE(there().parameters(), nullptr);
  EXPECT_EQ(*there().parameters(), server->parameters);
}

TEST_F(PoolShardsTest, AnUpstreamWhoseShardHasGoneIsClosed) {
  give_back(serve("one"));
  come("two", nullptr, 1);
  run_on(workers[1], [&] { workers[1].pool.reset(); });
  let(seconds(1));
  EXPECT_EQ(open(), static_cast<int>(server->open_peers()));
  serve("three");
  EXPECT_EQ(server->open_peers(), 1U);
}

TEST_F(PoolShardsTest, AMovedUpstreamStillRetires) {
  Customer& one = serve("one");
  run([&] { here().retire_upstreams(); });
  Customer& two = come("two", nullptr, 1);
  let(milliseconds(50));
  give_back(one);
  let(milliseconds(500));
  ASSERT_TRUE(two.served());
  EXPECT_NE(two.upstream->process_id, server->peer(0).pid);
  EXPECT_FALSE(server->peer(0).open());
}

// One that another worker has given away before it heard of an order comes to a worker that has heard.
TEST_F(PoolShardsTest, AnUpstreamOnItsWayWhenAllAreToReconnectIsClosed) {
  give_back(serve("one"));
  Customer& two = customer("two");
  const base::TimePoint ordered_at = world.now();
  run_on(workers[1], [&] {
    there().check_out(two, nullptr);
    there().retire_upstreams(ordered_at);
  });
  let(milliseconds(10));
  run([&] { here().retire_upstreams(ordered_at); });
  let(milliseconds(500));
  ASSERT_TRUE(two.served());
  EXPECT_NE(two.upstream->process_id, server->peer(0).pid);
  EXPECT_FALSE(server->peer(0).open());
}

TEST_F(PoolShardsTest, AnUpstreamThatComesBeforeTheOrderToReconnectIsClosedWhenItIsFree) {
  give_back(serve("one"));
  Customer& two = come("two", nullptr, 1);
  ASSERT_TRUE(world.run_until([&] { return here().counts().idle == 0; }, world.now() + seconds(1)));
  const base::TimePoint ordered_at = world.now();
  run([&] { here().retire_upstreams(ordered_at); });
  let(milliseconds(10));
  ASSERT_TRUE(two.served());
  EXPECT_EQ(two.upstream->process_id, server->peer(0).pid);
  run_on(workers[1], [&] { there().retire_upstreams(ordered_at); });
  give_back(two, false, 1);
  let(milliseconds(10));
  EXPECT_FALSE(server->peer(0).open());
}

TEST_F(PoolShardsTest, AnUpstreamOnItsWayWhenTheHostsChangeIsClosed) {
  give_back(serve("one"));
  plan.hosts = {{.host = "10.0.0.5", .port = 5433}, {.host = "10.0.0.5"}};
  config.tenant_spec = std::make_shared<const model::TenantSpec>();
  Customer& two = customer("two");
  run_on(workers[1], [&] {
    there().check_out(two, nullptr);
    there().change_config(make_config());
  });
  let(milliseconds(10));
  run([&] { here().change_config(make_config()); });
  let(milliseconds(500));
  ASSERT_TRUE(two.served());
  EXPECT_NE(two.upstream->process_id, server->peer(0).pid);
  EXPECT_FALSE(server->peer(0).open());
}

TEST_F(PoolShardsTest, AnUpstreamMayBeOlderThanTheShardThatTakesIt) {
  give_back(serve("one"));
  let(seconds(1));
  make_pool();
  serve("two", nullptr, 2);
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolShardsTest, AShardThatIsYoungerThanAnOrderGivesItsUpstreamsAway) {
  const base::TimePoint ordered_at = world.now();
  for (Worker& worker : workers) {
    run_on(worker, [&] { worker.pool->retire_upstreams(ordered_at); });
  }
  let(seconds(1));
  make_pool();
  give_back(serve("one", nullptr, 2), false, 2);
  serve("two", nullptr, 1);
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolShardsTest, WhoWaitsGoesOnWaitingWhileAnotherWorkerHasAConnection) {
  change([](PoolConfig& each) { each.size = 2; });
  Customer& one = serve("one");
  refuse("53300", "sorry, too many clients already");
  Customer& two = come("two", nullptr, 1);
  let(seconds(3));
  EXPECT_FALSE(two.refused.has_value());
  give_back(one);
  let(milliseconds(10));
  EXPECT_TRUE(two.served());
}

TEST_F(PoolShardsTest, WhenTheLastConnectionOfAnotherWorkerEndsClientsHearWhyThereIsNone) {
  change([](PoolConfig& each) { each.size = 2; });
  Customer& one = serve("one");
  refuse("53300", "sorry, too many clients already");
  Customer& two = come("two", nullptr, 1);
  let(seconds(3));
  run([&] { here().bury(*std::exchange(one.upstream, nullptr)); });
  let(seconds(16));
  ASSERT_TRUE(two.refused.has_value());
  EXPECT_EQ(two.refused->message, "sorry, too many clients already");
}

// Each of two workers may read what the other was before: neither the one that waits nor the one that has become idle.
TEST_F(PoolShardsTest, AnIdleUpstreamThatMissedAWaiterIsFoundDuringTheBackOffToo) {
  change([](PoolConfig& each) {
    each.size = 2;
    each.retry = seconds(10);
  });
  Customer& one = serve("one", nullptr, 1);
  refuse("53300", "sorry, too many clients already");
  Customer& two = come("two");
  let(milliseconds(100));
  std::atomic<std::int64_t>& told = directory.hub("acme/shop/alice", "acme/shop")->seat(0).waiting_since;
  const std::int64_t since = told.exchange(0);
  ASSERT_NE(since, 0);
  give_back(one, false, 1);
  told = since;
  let(milliseconds(50));
  EXPECT_TRUE(two.served());
}

// A hub with six seats taken.
class PoolHubTest : public PoolShardsTest {
 public:
  PoolHubTest() {
    for (unsigned worker = 0; worker < 6; ++worker) hub.sit_down(worker, here(), *workers[0].loop);
  }
  PoolHub hub{std::make_shared<upstream::Schema>()};
};

TEST_F(PoolHubTest, FindsWhoWaitsLongest) {
  EXPECT_EQ(hub.longest_waiting(0, INT64_MAX), -1);
  hub.seat(1).waiting_since = 500;
  hub.seat(2).waiting_since = 300;
  hub.seat(3).waiting_since = 400;
  EXPECT_EQ(hub.longest_waiting(0, INT64_MAX), 2);
  EXPECT_EQ(hub.longest_waiting(2, INT64_MAX), 3);
  EXPECT_EQ(hub.longest_waiting(0, 301), 2);
  EXPECT_EQ(hub.longest_waiting(0, 300), -1);
}

TEST_F(PoolHubTest, FindsSomebodyElseWithIdleUpstreams) {
  hub.seat(5).idle = 1;
  EXPECT_EQ(hub.some_idle(0), 5);
  EXPECT_EQ(hub.some_idle(5), -1);
}

TEST(PoolDirectory, PoolsOfOneDatabaseShareItsSchema) {
  PoolDirectory directory;
  const auto alice = directory.hub("acme/shop/alice", "acme/shop");
  const auto bob = directory.hub("acme/shop/bob", "acme/shop");
  EXPECT_NE(alice, bob);
  EXPECT_EQ(alice, directory.hub("acme/shop/alice", "acme/shop"));
  EXPECT_EQ(alice->schema(), bob->schema());
  EXPECT_NE(alice->schema(), directory.hub("acme/other/alice", "acme/other")->schema());
}

}  // namespace
}  // namespace penstock::pool
