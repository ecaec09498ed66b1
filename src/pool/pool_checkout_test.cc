// Who gets which upstream, and when.
#include <gmock/gmock.h>

#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;
using ::testing::ElementsAre;

class PoolCheckoutTest : public PoolTest {};

TEST_F(PoolCheckoutTest, OpensAConnectionForTheFirstAndKeepsItForTheNext) {
  make_pool();
  Customer& one = serve("one");
  EXPECT_EQ(peer_of(one).startup.at("user"), "alice");
  EXPECT_EQ(pool().counts().lent, 1U);
  give_back(one);
  EXPECT_EQ(pool().counts().idle, 1U);
  Customer& two = customer("two");
  run([&] {
    pool().check_out(two, nullptr);
    EXPECT_TRUE(two.served()) << "an idle upstream is granted at once";
  });
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolCheckoutTest, ServesWaitersInOrderOfArrival) {
  make_pool();
  Customer& first = serve("first");
  Customer& second = serve("second");
  for (const char* name : {"a", "b", "c"}) come(name);
  let(milliseconds(500));
  EXPECT_EQ(pool().counts().waiting, 3U);
  give_back(second);
  give_back(first);
  EXPECT_THAT(order, ElementsAre("first", "second", "a", "b"));
  give_back(customers[2]);
  EXPECT_THAT(order, ElementsAre("first", "second", "a", "b", "c"));
}

TEST_F(PoolCheckoutTest, NobodyOvertakesAWaiter) {
  config.size = 1;
  make_pool();
  Customer& holder = serve("holder");
  come("waiter");
  Customer& late = customer("late");
  run([&] {
    pool().release(*std::exchange(holder.upstream, nullptr), false);
    pool().check_out(late, nullptr);
  });
  EXPECT_THAT(order, ElementsAre("holder", "waiter"));
  EXPECT_FALSE(late.served());
}

TEST_F(PoolCheckoutTest, WhoGivesUpIsNotServed) {
  config.size = 1;
  make_pool();
  Customer& holder = serve("holder");
  Customer& gone = come("gone");
  come("next");
  run([&] { gone.stop_waiting(); });
  give_back(holder);
  EXPECT_THAT(order, ElementsAre("holder", "next"));
}

TEST_F(PoolCheckoutTest, TakesTheUpstreamThatWasUsedLast) {
  make_pool();
  Customer& one = serve("one");
  Customer& two = serve("two");
  const auto of_one = one.upstream->id;
  const auto of_two = two.upstream->id;
  give_back(one);
  give_back(two);
  Customer& three = serve("three");
  EXPECT_EQ(three.upstream->id, of_two);
  EXPECT_EQ(serve("four").upstream->id, of_one);
}

TEST_F(PoolCheckoutTest, PrefersAnUpstreamThatHasTheSettings) {
  make_pool();
  Customer& one = serve("one");
  Customer& two = serve("two");
  const auto of_one = one.upstream->id;
  auto& table = workers[0].settings;
  const auto tokyo = table.with(pool().settings_at_login(), "TimeZone", "Asia/Tokyo");
  run([&] { one.upstream->adopt_settings(tokyo); });
  let(milliseconds(100));
  give_back(one);
  give_back(two);
  Customer& three = serve("three", tokyo);
  EXPECT_EQ(three.upstream->id, of_one);
  give_back(three);
  EXPECT_NE(serve("four", pool().settings_at_login()).upstream->id, of_one);
}

TEST_F(PoolCheckoutTest, KnowsWhatTheServerSaysOfItself) {
  make_pool();
  EXPECT_EQ(pool().parameters(), nullptr);
  serve("one");
  ASSERT_NE(pool().parameters(), nullptr);
  EXPECT_EQ(*pool().parameters(), server->parameters);
  EXPECT_EQ(*pool().settings_at_login()->find("timezone"), "UTC");
  EXPECT_EQ(pool().settings_at_login()->find("server_version"), nullptr);
}

TEST_F(PoolCheckoutTest, RemembersWhatTheServerMadeOfSettingsUntilItLogsInWithOthers) {
  make_pool();
  Customer& one = serve("one");
  auto& table = workers[0].settings;
  const auto asked = table.intern({{"TimeZone", "utc"}});
  EXPECT_EQ(pool().known_outcome(asked), nullptr);
  pool().remember_outcome(asked, pool().settings_at_login());
  EXPECT_EQ(pool().known_outcome(asked), pool().settings_at_login());
  serve("two");
  EXPECT_NE(pool().known_outcome(asked), nullptr);
  server->parameters[2].second = "Asia/Tokyo";
  run([&] { pool().bury(*std::exchange(one.upstream, nullptr)); });
  serve("three");
  EXPECT_EQ(pool().known_outcome(asked), nullptr);
}

TEST_F(PoolCheckoutTest, RefusesWhoeverFindsTheQueueFull) {
  config.size = 1;
  config.max_waiting = 2;
  make_pool();
  Customer& holder = serve("holder");
  come("a");
  come("b");
  Customer& c = come("c");
  ASSERT_TRUE(c.refused.has_value());
  EXPECT_EQ(c.refused->sqlstate, base::kTooManyConnections);
  run([&] { customers[1].stop_waiting(); });
  come("d");
  give_back(holder);
  EXPECT_FALSE(come("e").refused.has_value()) << "one of the two places is free again";
  EXPECT_THAT(order, ElementsAre("holder", "not c", "b"));
}

TEST_F(PoolCheckoutTest, AnUpstreamThatEndsWhileIdleIsNotGivenToAnybody) {
  make_pool();
  give_back(serve("one"));
  on_server([&] { server->peer(0).close(); });
  EXPECT_EQ(pool().counts().idle, 0U);
  serve("two");
  EXPECT_EQ(server->peers.size(), 2U);
}

TEST_F(PoolCheckoutTest, AnIdleUpstreamFollowsWhatTheServerReports) {
  make_pool();
  give_back(serve("one"));
  on_server([&] {
    server->peer(0).send(sim::message('S', sim::zero_ended("TimeZone") + sim::zero_ended("GMT")));
    server->peer(0).send(sim::message('N', sim::zero_ended("")));
  });
  EXPECT_EQ(*serve("two").upstream->settings->find("TimeZone"), "GMT");
}

TEST_F(PoolCheckoutTest, AnIdleUpstreamThatIsToldOfTheEndOrSpeaksUnaskedIsClosed) {
  for (const auto& words : {sim::error_message("FATAL", "57P01", "terminating"), sim::message('Z', "I")}) {
    if (workers.empty()) make_pool();
    give_back(serve("one"));
    on_server([&] { server->peers.back()->send(words); });
    EXPECT_EQ(pool().counts().idle, 0U);
    EXPECT_EQ(server->open_peers(), 0U);
  }
}

TEST_F(PoolCheckoutTest, WhoWaitsGetsANewConnectionWhenOneBreaks) {
  config.size = 1;
  make_pool();
  Customer& holder = serve("holder");
  Customer& waiter = come("waiter");
  run([&] {
    holder.upstream->broken = true;
    pool().release(*std::exchange(holder.upstream, nullptr), false);
  });
  let(milliseconds(100));
  EXPECT_TRUE(waiter.served());
  EXPECT_EQ(server->peers.size(), 2U);
  EXPECT_FALSE(server->peer(0).open());
}

// --- the check of an upstream that has been idle for long ---

class PoolCheckTest : public PoolTest {
 public:
  PoolCheckTest() {
    config.check_delay = seconds(30);
    config.check_query = "SELECT 1";
  }
};

TEST_F(PoolCheckTest, ComesOnlyAfterALongIdleTime) {
  make_pool();
  give_back(serve("one"));
  let(seconds(29));
  give_back(serve("two"));
  EXPECT_TRUE(server->peer(0).asked().empty());
  let(seconds(31));
  serve("three");
  EXPECT_THAT(server->peer(0).asked(), ElementsAre("SELECT 1"));
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(PoolCheckTest, AnUpstreamThatFailsItIsReplaced) {
  make_pool();
  give_back(serve("one"));
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'Q') return false;
    peer.send(sim::error_message("ERROR", "58000", "disk gone"));
    peer.ready();
    return true;
  };
  let(seconds(31));
  serve("two");
  EXPECT_EQ(server->peers.size(), 2U);
  EXPECT_FALSE(server->peer(0).open());
}

TEST_F(PoolCheckTest, AnUpstreamThatDoesNotAnswerIsReplacedInTime) {
  config.size = 1;
  config.cleanup_timeout = seconds(2);
  make_pool();
  give_back(serve("one"));
  server->script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type == 'Q'; };
  let(seconds(31));
  Customer& two = come("two");
  let(milliseconds(1900));
  EXPECT_FALSE(two.served());
  let(milliseconds(200));
  EXPECT_TRUE(two.served());
  EXPECT_FALSE(server->peer(0).open());
}

// Each of two clients that come together after a long pause gets one of the two.
TEST_F(PoolCheckTest, DoesNotKeepTheOthersWaiting) {
  make_pool();
  Customer& one = serve("one");
  give_back(serve("two"));
  give_back(one);
  let(seconds(31));
  Customer& three = customer("three");
  Customer& four = customer("four");
  for (Customer* each : {&three, &four}) each->settings = &workers[0].settings;
  run([&] {
    pool().check_out(three, nullptr);
    pool().check_out(four, nullptr);
  });
  let(milliseconds(100));
  EXPECT_TRUE(three.served());
  EXPECT_TRUE(four.served()) << "an idle upstream was left while a client waited";
  EXPECT_EQ(server->peers.size(), 2U);
}

TEST_F(PoolCheckTest, WhenItFailsTheNextIdleUpstreamServes) {
  make_pool();
  Customer& one = serve("one");
  give_back(serve("two"));
  give_back(one);
  let(seconds(31));
  // The one used last has died without a word, and the server takes no new connections.
  server->script = [&](sim::ScriptedPeer& peer, const sim::Message&) {
    if (&peer != &server->peer(0)) return false;
    peer.close();
    return true;
  };
  on_server([&] { server->stop(); });
  Customer& three = serve("three");
  ASSERT_TRUE(three.served());
  EXPECT_EQ(three.upstream->process_id, server->peer(1).pid);
}

TEST_F(PoolCheckTest, OneThatIsSilentHoldsNobodyUpForLongWhereThereIsRoom) {
  make_pool();
  give_back(serve("one"));
  server->script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type == 'Q'; };
  let(seconds(31));
  Customer& two = come("two");
  let(milliseconds(150));
  EXPECT_EQ(server->peers.size(), 1U) << "mostly it answers at once";
  let(milliseconds(100));
  EXPECT_TRUE(two.served());
  EXPECT_EQ(server->peers.size(), 2U);
}

TEST_F(PoolCheckTest, WhereOneIsSilentAllOthersAreAskedAtOnce) {
  config.size = 4;
  make_pool();
  std::vector<Customer*> all;
  for (const char* name : {"a", "b", "c", "d"}) all.push_back(&serve(name));
  for (Customer* one : all) give_back(*one);
  // All but the one that has been idle for longest are dead, and the pool has no room.
  server->script = [&](sim::ScriptedPeer& peer, const sim::Message& message) {
    return message.type == 'Q' && &peer != &server->peer(0);
  };
  let(seconds(31));
  Customer& two = come("two");
  let(milliseconds(250));
  EXPECT_TRUE(two.served());
  EXPECT_EQ(pool().counts().cleaning, 3U);
}

// --- cleaning behind a client that has left ---

TEST_F(PoolCheckoutTest, AnUpstreamThatTakesLongToCleanHoldsNobodyUpWhereThereIsRoom) {
  make_pool();
  Customer& one = serve("one");
  server->script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type == 'Q'; };
  ask(one, "SELECT pg_sleep(60)");
  give_back(one);
  Customer& two = come("two");
  let(milliseconds(250));
  EXPECT_TRUE(two.served());
  EXPECT_EQ(pool().counts().cleaning, 1U);
}

}  // namespace
}  // namespace penstock::pool
