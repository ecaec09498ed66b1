// What happens when no connection can be had.
#include <gmock/gmock.h>

#include <map>

#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::Pair;

class PoolConnectTest : public PoolTest {
 public:
  PoolConnectTest() {
    config.retry = seconds(1);
    config.retry_max = seconds(4);
  }
  // By labels, of all workers.
  std::map<std::string, std::uint64_t> counted(telemetry::PoolCount what) {
    std::map<std::string, std::uint64_t> found;
    telemetry::PoolCounterTable::Walk walk(counters);
    const auto add = [&](const telemetry::PoolLabels& labels, const telemetry::PoolCounters& set) {
      found[labels.tenant + "/" + labels.user + "/" + labels.database] += set.counts[what].read();
    };
    while (walk.step(add, telemetry::PoolCounterTable::Clock::now())) {
    }
    return found;
  }
  // Waits until the next connect reaches the server; how long that took.
  base::Duration until_next_attempt() {
    const auto before = world.now();
    const auto attempts = server->peers.size();
    EXPECT_TRUE(world.run_until([&] { return server->peers.size() > attempts; }, before + seconds(60)));
    return world.now() - before;
  }
};

TEST_F(PoolConnectTest, TellsAllWhoWaitTheServersOwnError) {
  make_pool();
  refuse("28P01", "password authentication failed for user \"alice\"");
  Customer& one = come("one");
  Customer& two = come("two");
  let(milliseconds(100));
  for (const Customer* each : {&one, &two}) {
    ASSERT_TRUE(each->refused.has_value()) << each->name;
    EXPECT_EQ(each->refused->sqlstate, base::kInvalidPassword);
    EXPECT_EQ(each->refused->message, "password authentication failed for user \"alice\"");
  }
  EXPECT_EQ(pool().counts().waiting, 0U);
  ASSERT_NE(pool().last_error(), nullptr);
  EXPECT_EQ(pool().last_error()->sqlstate, base::kInvalidPassword);
}

TEST_F(PoolConnectTest, IsCountedByNameFromItsFirstConnectionOn) {
  using telemetry::PoolCount;
  config.client_user = "web";  // whoever came first; the role says which pool it is
  make_pool();
  refuse("3D000", "database \"shop\" does not exist");
  run([&] {
    pool().add_client(+1);
    pool().counters().counts[PoolCount::kLogins].add();
  });
  come("one");
  let(milliseconds(100));
  EXPECT_FALSE(pool().is_counted());
  EXPECT_THAT(counted(PoolCount::kConnectFailures), ElementsAre(Pair("acme/_other/_other", 1)));
  EXPECT_THAT(counted(PoolCount::kLogins), ElementsAre(Pair("acme/_other/_other", 0)));
  welcome();
  let(seconds(5));
  serve("two");
  EXPECT_TRUE(pool().is_counted());
  EXPECT_THAT(counted(PoolCount::kConnects),
              ElementsAre(Pair("acme/_other/_other", 0), Pair("acme/alice/shop", 1)));
  EXPECT_EQ(counted(PoolCount::kLogins)["acme/alice/shop"], 1U) << "what was counted before is not lost";
  EXPECT_EQ(pool().counters().clients.read(), 1);
}

TEST_F(PoolConnectTest, GoesOnCountingWhereAPoolOfThatNameEnded) {
  using telemetry::PoolCount;
  make_pool();
  give_back(serve("one"));
  run([&] { workers[0].pool.reset(); });
  const auto again = std::make_unique<Pool>(
      PoolHome{.worker = 0,
               .tools = {.loop = *workers[0].loop, .resolver = resolver, .scram_keys = workers[0].scram_keys},
               .settings = workers[0].settings,
               .ledger = ledger,
               .counters = &counters},
      "again", make_config(), directory.hub("again", "acme/shop"));
  EXPECT_TRUE(again->is_counted());
  EXPECT_EQ(again->counters().counts[PoolCount::kConnects].read(), 1U);
}

TEST_F(PoolConnectTest, TellsWhereNobodyListens) {
  make_pool();
  on_server([&] { server->stop(); });
  Customer& one = come("one");
  let(milliseconds(100));
  ASSERT_TRUE(one.refused.has_value());
  EXPECT_EQ(one.refused->message, "could not connect to 10.0.0.5:5432: Connection refused");
}

TEST_F(PoolConnectTest, WaitsForAServerThatStartsUp) {
  make_pool();
  refuse("57P03", "the database system is starting up");
  Customer& one = come("one");
  let(seconds(3));
  EXPECT_FALSE(one.refused.has_value());
  welcome();
  let(seconds(5));
  EXPECT_TRUE(one.served());
  EXPECT_EQ(pool().last_error(), nullptr);
}

TEST_F(PoolConnectTest, WhoeverWaitsGoesOnWaitingWhileOtherConnectionsLive) {
  make_pool();
  Customer& one = serve("one");
  refuse("53300", "sorry, too many clients already");
  Customer& two = come("two");
  let(seconds(3));
  EXPECT_FALSE(two.refused.has_value());
  give_back(one);
  EXPECT_TRUE(two.served());
}

TEST_F(PoolConnectTest, PausesLongerAfterEachFailure) {
  make_pool();
  refuse("57P03", "the database system is starting up");
  come("one");
  until_next_attempt();
  // Each pause is up to a quarter shorter than it might be.
  for (const int pause : {1, 2, 4, 4, 4}) {
    const auto took = until_next_attempt();
    EXPECT_GE(took, seconds(pause) * 3 / 4);
    EXPECT_LE(took, seconds(pause) + milliseconds(50));
  }
}

TEST_F(PoolConnectTest, NobodyConnectsDuringThePause) {
  make_pool();
  refuse("28P01", "no");
  come("one");
  let(milliseconds(100));
  EXPECT_EQ(server->peers.size(), 1U);
  Customer& two = come("two");
  let(milliseconds(500));
  EXPECT_EQ(server->peers.size(), 1U);
  let(seconds(1));
  EXPECT_EQ(server->peers.size(), 2U);
  EXPECT_TRUE(two.refused.has_value());
}

TEST_F(PoolConnectTest, SuccessEndsThePauses) {
  make_pool();
  refuse("57P03", "starting up");
  Customer& one = come("one");
  for (int i = 0; i < 3; ++i) until_next_attempt();
  let(milliseconds(10));  // refused
  welcome();
  until_next_attempt();
  let(milliseconds(100));
  ASSERT_TRUE(one.served());
  refuse("57P03", "starting up");
  run([&] { pool().bury(*std::exchange(one.upstream, nullptr)); });
  come("two");
  until_next_attempt();
  EXPECT_LE(until_next_attempt(), seconds(1) + milliseconds(50)) << "the first pause again";
}

TEST_F(PoolConnectTest, ANewConfigIsTriedAtOnce) {
  make_pool();
  refuse("28P01", "no");
  come("one");
  let(milliseconds(100));
  welcome();
  Customer& two = come("two");
  let(milliseconds(100));
  EXPECT_FALSE(two.served());
  run([&] { pool().change_config(make_config()); });
  let(milliseconds(100));
  EXPECT_TRUE(two.served());
}

TEST_F(PoolConnectTest, ANewCredentialIsTriedAtOnceWhereTheOldOneWasRefused) {
  make_pool();
  refuse("28P01", "no");
  come("one");
  let(milliseconds(100));
  welcome();
  Customer& two = come("two");
  let(milliseconds(100));
  EXPECT_FALSE(two.served());
  run([&] { pool().change_credential(make_config()); });
  let(milliseconds(100));
  EXPECT_TRUE(two.served());
}

TEST_F(PoolConnectTest, WhereItWasRefusedOneConnectionAtATimeTriesAgain) {
  config.size = 10;
  make_pool();
  refuse("28P01", "no");
  come("one");
  let(milliseconds(100));
  ASSERT_EQ(server->peers.size(), 1U);
  // From now on the server takes its time.
  server->script = [](sim::ScriptedPeer&, const sim::Message&) { return true; };
  for (int i = 0; i < 5; ++i) come("waiting " + std::to_string(i));
  let(seconds(2));
  EXPECT_EQ(server->peers.size(), 2U);
  EXPECT_EQ(pool().counts().dialling, 1U);
}

TEST_F(PoolConnectTest, ConnectionsThatFailTogetherMakeOnePause) {
  config.size = 10;
  make_pool();
  refuse("57P03", "the database system is starting up");
  for (int i = 0; i < 6; ++i) come("early " + std::to_string(i));
  let(milliseconds(10));
  EXPECT_EQ(server->peers.size(), 6U);
  EXPECT_LE(until_next_attempt(), seconds(1) + milliseconds(50)) << "the first pause";
}

TEST_F(PoolConnectTest, TheCredentialThatWorkedIsTheFirstOneNextTime) {
  plan.credential.secret = auth::Secret::parse("new");
  plan.other_credential.secret = auth::Secret::parse("old");
  config.size = 10;
  make_pool();
  int refused = 0;
  server->script = [&](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 0) {
      peer.send(sim::message('R', sim::be32(3)));  // in the clear, please
    } else if (message.type == 'p') {
      if (sim::Fields(message.body).text() == "old") {
        peer.greet();
      } else {
        ++refused;
        peer.send(sim::error_message("FATAL", "28P01", "no"));
        peer.close();
      }
    } else {
      return false;
    }
    return true;
  };
  serve("one");
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(pool().config().plan->credential.secret->plain(), "old");
  serve("two");
  serve("three");
  EXPECT_EQ(refused, 1);
}

TEST_F(PoolConnectTest, ACredentialThatChangesLeavesConnectionsAlone) {
  make_pool();
  give_back(serve("one"));
  plan.user = "alice2";
  run([&] { pool().change_credential(make_config()); });
  serve("two");
  EXPECT_EQ(server->peers.size(), 1U);
  Customer& three = serve("three");
  EXPECT_EQ(peer_of(three).startup.at("user"), "alice2");
}

TEST_F(PoolConnectTest, RunsTheConnectQueryBeforeAnybodyIsServed) {
  config.connect_query = "SET role app";
  make_pool();
  Customer& one = serve("one");
  EXPECT_THAT(peer_of(one).asked(), ElementsAre("SET role app"));
  EXPECT_EQ(peer_of(one).cancels, 0) << "it is no client's leftover";
  give_back(one);
  serve("two");
  EXPECT_EQ(server->peer(0).asked().size(), 1U) << "once for each connection";
}

TEST_F(PoolConnectTest, LetsASlowConnectQueryEnd) {
  config.connect_query = "SELECT warm_up()";
  make_pool();
  sim::ScriptedPeer* slow = nullptr;
  server->script = [&](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'Q') slow = &peer;
    return message.type == 'Q';
  };
  Customer& one = come("one");
  let(seconds(2));
  ASSERT_NE(slow, nullptr);
  EXPECT_FALSE(one.served());
  on_server([&] {
    slow->send(sim::message('C', sim::zero_ended("SELECT 1")));
    slow->ready();
  });
  EXPECT_TRUE(one.served());
  EXPECT_EQ(slow->cancels, 0);
}

// It may take rights away: without it, clients would have others than its author meant.
TEST_F(PoolConnectTest, WhoseConnectQueryFailsIsNotUsed) {
  config.connect_query = "SET role nobody";
  make_pool();
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'Q') return false;
    peer.send(sim::error_message("ERROR", "22023", "role \"nobody\" does not exist"));
    peer.ready();
    return true;
  };
  Customer& one = come("one");
  let(milliseconds(100));
  ASSERT_TRUE(one.refused.has_value());
  EXPECT_EQ(one.refused->sqlstate, base::kInvalidParameterValue);
  EXPECT_EQ(one.refused->message, "connect_query failed: role \"nobody\" does not exist");
  ASSERT_NE(pool().last_error(), nullptr);
  EXPECT_EQ(pool().last_error()->message, one.refused->message);
  EXPECT_THAT(counted(telemetry::PoolCount::kConnectFailures), ElementsAre(Pair("acme/_other/_other", 1)));
  EXPECT_EQ(server->open_peers(), 0U);
  welcome();
  let(seconds(5));
  serve("two");
}

TEST_F(PoolConnectTest, AConnectionInItsConnectQueryIsBeingOpened) {
  config.connect_query = "hang";
  config.size = 5;
  plan.login_timeout = seconds(15);
  make_pool();
  come("one");
  let(seconds(8));
  EXPECT_EQ(server->peers.size(), 1U) << "one for one client";
  EXPECT_EQ(pool().counts().dialling, 1U);
}

TEST_F(PoolConnectTest, AConnectQueryMayTakeAsLongAsALogIn) {
  config.connect_query = "hang";
  plan.login_timeout = seconds(5);
  make_pool();
  Customer& one = come("one");
  let(milliseconds(4900));
  EXPECT_FALSE(one.refused.has_value());
  let(milliseconds(200));
  ASSERT_TRUE(one.refused.has_value());
  EXPECT_EQ(one.refused->message, "connect_query took longer than 5000 ms (timeouts.upstream_login)");
  EXPECT_EQ(server->open_peers(), 0U);
  EXPECT_EQ(server->peer(0).cancels, 1) << "it does not go on at the server";
}

TEST_F(PoolConnectTest, AConnectQueryThatIsGivenUpIsCancelled) {
  config.connect_query = "hang";
  make_pool();
  come("one");
  let(seconds(1));
  run([&] { pool().pause(); });
  let(milliseconds(100));
  EXPECT_EQ(server->open_peers(), 0U);
  EXPECT_EQ(server->peer(0).cancels, 1);
}

TEST_F(PoolConnectTest, AConnectQueryMustNotCopyOrLeaveATransactionOpen) {
  config.connect_query = "COPY t FROM STDIN";
  make_pool();
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'Q') return false;
    peer.send(sim::message('G', std::string(3, '\0')));
    return true;
  };
  Customer& one = come("one");
  let(milliseconds(100));
  ASSERT_TRUE(one.refused.has_value());
  EXPECT_EQ(one.refused->message, "connect_query must not copy data (COPY … FROM STDIN, TO STDOUT)");
  welcome();
  change([](PoolConfig& changed) { changed.connect_query = "BEGIN"; });
  Customer& two = come("two");
  let(milliseconds(100));
  ASSERT_TRUE(two.refused.has_value());
  EXPECT_EQ(two.refused->message, "connect_query must not leave a transaction open");
}

TEST_F(PoolConnectTest, WhatTheConnectQuerySetsIsKnown) {
  config.connect_query = "SET \"TimeZone\" TO 'Asia/Tokyo'";
  make_pool();
  Customer& one = serve("one");
  const std::string* zone = one.upstream->settings->find("TimeZone");
  ASSERT_NE(zone, nullptr);
  EXPECT_EQ(*zone, "Asia/Tokyo");
  EXPECT_NE(one.upstream->settings, one.upstream->settings_at_login);
}

TEST_F(PoolConnectTest, APoolThatGoesAwayGivesUpItsAttempts) {
  make_pool();
  server->script = [](sim::ScriptedPeer&, const sim::Message&) { return true; };
  come("one");
  let(milliseconds(100));
  ASSERT_EQ(server->open_peers(), 1U);
  run([&] { workers[0].pool.reset(); });
  let(milliseconds(100));
  EXPECT_EQ(server->open_peers(), 0U);
  EXPECT_EQ(ledger.scope("upstreams")->open, 0);
}

TEST_F(PoolConnectTest, APoolThatGoesAwayInTheTurnOfItsFirstAttemptMakesNone) {
  make_pool();
  Customer& one = customer("one");
  run([&] {
    pool().check_out(one, nullptr);
    workers[0].pool.reset();
  });
  let(seconds(1));
  EXPECT_TRUE(server->peers.empty());
}

}  // namespace
}  // namespace penstock::pool
