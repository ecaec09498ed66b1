// Sessions on a simulated loop: since when the times run that end one.
#include <gtest/gtest.h>

#include "session/login_sim_test.h"
#include "session/placement.h"
#include "session/pool_plan.h"

namespace penstock::session {
namespace {

using namespace testing;

std::string query(const std::string& text) {
  return sim::message('Q', sim::zero_ended(text));
}
// A batch without its end.
std::string open_batch() {
  return sim::message('P', sim::zero_ended("") + sim::zero_ended("SELECT 1") + std::string(2, '\0')) +
         sim::message('B', std::string(8, '\0')) + sim::message('E', std::string(5, '\0')) +
         sim::message('H');
}

class SessionTimeTest : public LoginTest {
 public:
  SessionTimeTest() { settings.pool_size = 1; }
  Guest& come(std::string_view options = {}) {
    instruct();
    Guest& guest = log_in("alice.acme", "new", options);
    EXPECT_TRUE(guest.is_in);
    guest.seen.clear();
    return guest;
  }
};

TEST_F(SessionTimeTest, ATransactionBeginsWithItsFirstMessage) {
  settings.transaction_timeout = seconds(2);
  settings.pool_mode = model::PoolMode::kSession;
  Guest& guest = come();
  for (int i = 0; i < 3; ++i) {
    say(guest, query("SELECT 1"));
    let(seconds(3));
  }
  EXPECT_EQ(guest.seen, "CZCZCZ");
  say(guest, query("BEGIN"));
  let(milliseconds(1900));
  EXPECT_EQ(guest.error.sqlstate, "");
  let(milliseconds(200));
  EXPECT_EQ(guest.error.sqlstate, "25P04");
}

TEST_F(SessionTimeTest, EachTransactionOfAPipelineCountsForItself) {
  settings.transaction_timeout = seconds(2);
  settings.query_timeout = seconds(2);
  Guest& guest = come();
  server.script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type == 'Q'; };
  say(guest, query("SELECT 1") + query("SELECT 2") + query("SELECT 3"));
  for (int i = 0; i < 3; ++i) {
    let(milliseconds(1500));
    run([&] {
      server.peer(0).send(sim::message('C', sim::zero_ended("SELECT 1")));
      server.peer(0).ready();
    });
  }
  let(milliseconds(10));
  EXPECT_EQ(guest.seen, "CZCZCZ");
}

TEST_F(SessionTimeTest, WhatAQueryHasWaitedForItsServerIsNotItsTime) {
  settings.query_timeout = seconds(2);
  for (const std::string_view options : {"", "-c TimeZone=Asia/Tokyo"}) {
    Guest& holder = come();
    Guest& other = come(options);
    say(holder, query("BEGIN"));
    say(other, query("SELECT 1"));
    let(seconds(3));
    EXPECT_EQ(other.seen, "");
    say(holder, query("COMMIT"));
    let(milliseconds(100));
    EXPECT_EQ(other.seen, "CZ") << options;
    run([&] {
      holder.leave();
      other.leave();
    });
    let(seconds(1));
  }
}

// At the server it would end a connection that another client has by then.
TEST_F(SessionTimeTest, TheServersIdleTimeoutIsTheClientsOwn) {
  settings.client_idle_timeout = seconds(5);
  for (const auto& [options, lives] :
       {std::pair("-c idle_session_timeout=2s", seconds(2)),
        std::pair("-c Idle-Session-Timeout=2000", seconds(2)),
        std::pair("-c idle_session_timeout=1min", seconds(5)),
        std::pair("-c idle_session_timeout=0", seconds(5)), std::pair("", seconds(5))}) {
    Guest& guest = come(options);
    say(guest, query("SELECT 1"));
    EXPECT_EQ(guest.seen, "CZ");
    let(lives - milliseconds(100));
    EXPECT_EQ(guest.error.sqlstate, "") << options;
    let(milliseconds(200));
    EXPECT_EQ(guest.error.sqlstate, "57P05") << options;
  }
}

TEST_F(SessionTimeTest, AnOpenBatchIsATransactionThatIsIdle) {
  settings.query_timeout = seconds(1);
  settings.client_idle_timeout = seconds(60);
  settings.idle_transaction_timeout = seconds(5);
  Guest& guest = come();
  say(guest, open_batch());
  EXPECT_EQ(guest.seen, "12C");
  let(milliseconds(4900));
  EXPECT_EQ(guest.error.sqlstate, "");
  EXPECT_EQ(guest.seen, "12C");
  let(milliseconds(200));
  EXPECT_EQ(guest.error.sqlstate, "25P03");
}

TEST_F(SessionTimeTest, AnOpenBatchMayGoOnWithinItsTime) {
  settings.query_timeout = seconds(1);
  settings.client_idle_timeout = seconds(2);
  settings.idle_transaction_timeout = seconds(2);
  settings.transaction_timeout = seconds(5);
  Guest& guest = come();
  for (int i = 0; i < 3; ++i) {
    say(guest, open_batch());
    let(milliseconds(1500));
  }
  EXPECT_EQ(guest.seen, "12C12C12C");
  say(guest, sim::message('S'));
  EXPECT_TRUE(guest.seen.ends_with("CZ")) << guest.seen;
  for (int i = 0; i < 4; ++i) {
    say(guest, open_batch());
    let(milliseconds(1500));
  }
  EXPECT_EQ(guest.error.sqlstate, "25P04");
}

TEST_F(SessionTimeTest, ABatchThatHasFailedIsOpenUntilItsSync) {
  settings.idle_transaction_timeout = seconds(1);
  Guest& guest = come();
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'P') peer.send(sim::error_message("ERROR", "42601", "syntax error"));
    return message.type != 0 && message.type != 'S';
  };
  say(guest, open_batch());
  EXPECT_EQ(guest.seen, "E");
  let(milliseconds(1100));
  EXPECT_EQ(guest.error.sqlstate, "25P03");
}

// --- to another worker ---

TEST_F(SessionTimeTest, WhoDoesNotMoveIsLookedAtLikeAnybodyElse) {
  const auto database = [&] {
    for (int i = 0;; ++i) {
      const std::string name = "shop" + std::to_string(i);
      const auto key = pool_key(*acme, &acme->users[0], "alice", name);
      if (choose_worker({.pool = key, .pool_size = 1, .workers = 2, .here = 0, .session = 1}) == 1)
        return name;
    }
  }();
  int seen = 0;
  home.worker_count = [] { return 2U; };
  home.logged_in = [&](Session&) { ++seen; };
  server.parameters.emplace_back("long", std::string(1 << 19, 'x'));
  instruct();
  Guest guest(*loop, "alice.acme", "new");
  guest.does_not_read_its_greeting = true;
  run([&] { guest.start({}, database); });
  let(milliseconds(500));
  EXPECT_EQ(seen, 0) << "it waits for the greeting to be read";
  let(seconds(2));
  EXPECT_EQ(seen, 1);
  run([&] { guest.leave(); });
  let(seconds(1));
}

// --- log-ins that must ask a server about the client's settings ---

TEST_F(SessionTimeTest, WhoLeavesWhileItsSettingsWaitGivesUpItsPlaces) {
  settings.max_clients = 2;
  Guest& holder = come();
  say(holder, query("BEGIN"));
  for (int i = 0; i < 3; ++i) {
    Guest& other = log_in("alice.acme", "new", "-c TimeZone=Asia/Tokyo");
    EXPECT_EQ(pool_of_alice()->counts().waiting, 1U);
    run([&] { other.leave(); });
    let(milliseconds(100));
    EXPECT_EQ(pool_of_alice()->counts().waiting, 0U);
  }
  EXPECT_TRUE(log_in("alice.acme", "new").is_in);
}

TEST_F(SessionTimeTest, WaitingForABusyPoolIsNotTheLoginsTime) {
  settings.client_login_timeout = seconds(1);
  settings.query_wait_timeout = seconds(10);
  Guest& holder = come();
  say(holder, query("BEGIN"));
  Guest& other = log_in("alice.acme", "new", "-c TimeZone=Asia/Tokyo");
  let(seconds(5));
  EXPECT_EQ(other.error.sqlstate, "");
  say(holder, query("COMMIT"));
  let(milliseconds(100));
  EXPECT_TRUE(other.is_in);
  say(holder, query("BEGIN"));
  const Guest& late = log_in("alice.acme", "new", "-c TimeZone=Europe/Vienna");
  let(seconds(11));
  EXPECT_EQ(late.error.sqlstate, "53300");
}

TEST_F(SessionTimeTest, AServerMustSayWithinTheLoginsTimeWhatSettingsComeTo) {
  settings.client_login_timeout = seconds(2);
  settings.query_wait_timeout = seconds(0);
  (void)come();
  server.script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type == 'Q'; };
  const Guest& guest = log_in("alice.acme", "new", "-c TimeZone=Asia/Tokyo");
  let(seconds(1));
  EXPECT_EQ(guest.error.sqlstate, "");
  let(seconds(1));
  EXPECT_EQ(guest.error.sqlstate, "57014");
  EXPECT_EQ(pool_of_alice()->counts().lent, 0U);
}

}  // namespace
}  // namespace penstock::session
