#include "session/settings_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "session/home_sim_test.h"
#include "session/pool_plan.h"

namespace penstock::session {
namespace {

using namespace testing;
using Outcome = base::Result<upstream::SettingsPtr>;

class SettingsTrialTest : public HomeTest {
 public:
  SettingsTrialTest() {
    settings.pool_size = 1;
    instruct();
    auto config = make_pool_config(instructions.settings, {.tenant = acme,
                                                           .user = &acme->users[0],
                                                           .client_user = "alice",
                                                           .user_name = "alice",
                                                           .database = "shop",
                                                           .credentials = {},
                                                           .parameters = {}});
    pool = pools.find_or_make("acme/shop/alice", *config);
  }
  ~SettingsTrialTest() override { pool.reset(); }

  Outcome run_trial(pgwire::Parameters wanted, base::Duration patience = seconds(10)) {
    requested = std::move(wanted);
    auto result = sim::run_task(*loop, attempt(*pool, requested, world.now() + patience));
    return result.has_value() ? std::move(*result) : base::fail(base::kInternalError, "no end");
  }
  static io::Task<Outcome> attempt(pool::Pool& pool, const pgwire::Parameters& wanted,
                                   base::TimePoint deadline) {
    co_return co_await SettingsTrial(pool, wanted, {.deadline = deadline});
  }
  // The server refuses every SET.
  void refuse_settings() {
    server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
      if (message.type != 'Q') return false;
      peer.send(sim::message('S', sim::zero_ended("TimeZone") + sim::zero_ended("half done")));
      peer.send(
          sim::error_message("ERROR", "22023", "invalid value for parameter \"TimeZone\": \"nowhere\""));
      peer.ready();
      return true;
    };
  }

  std::shared_ptr<pool::Pool> pool;
  pgwire::Parameters requested;
};

TEST_F(SettingsTrialTest, BringsWhatTheServerMadeOfTheSettings) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'Q') return false;
    peer.send(sim::message('S', sim::zero_ended("TimeZone") + sim::zero_ended("Asia/Tokyo")));
    peer.send(sim::message('C', sim::zero_ended("SET")));
    peer.ready();
    return true;
  };
  const auto outcome = run_trial({{"timezone", "asia/tokyo"}});
  ASSERT_TRUE(outcome.has_value()) << outcome.error().to_string();
  EXPECT_EQ(*(*outcome)->find("TimeZone"), "Asia/Tokyo");
  EXPECT_EQ(*(*outcome)->find("client_encoding"), "UTF8") << "and what the client did not ask for";
  EXPECT_EQ(server.peer(0).asked_last(), "SET \"TimeZone\" TO 'asia/tokyo';");
  EXPECT_EQ(pool->counts().idle, 1U);
}

TEST_F(SettingsTrialTest, AsksNothingWhenTheServerHasThemAnyway) {
  const auto outcome = run_trial({{"TimeZone", "UTC"}});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(*outcome, pool->settings_at_login());
  EXPECT_TRUE(server.peer(0).asked().empty());
}

TEST_F(SettingsTrialTest, TellsWhyTheServerRefuses) {
  refuse_settings();
  const auto outcome = run_trial({{"TimeZone", "nowhere"}});
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().message, "invalid value for parameter \"TimeZone\": \"nowhere\"");
}

TEST_F(SettingsTrialTest, ARefusalLeavesTheSessionAsItWas) {
  refuse_settings();
  ASSERT_FALSE(run_trial({{"TimeZone", "nowhere"}}).has_value());
  server.script = [](sim::ScriptedPeer&, const sim::Message&) { return false; };
  const auto outcome = run_trial({});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(*outcome, pool->settings_at_login());
  EXPECT_EQ(server.peers.size(), 1U);
}

TEST_F(SettingsTrialTest, StartsFromAFreshSessionWhateverTheLastClientHadSet) {
  ASSERT_TRUE(run_trial({{"application_name", "psql"}}).has_value());
  const auto outcome = run_trial({{"TimeZone", "GMT"}});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(*(*outcome)->find("application_name"), "");
  EXPECT_EQ(*(*outcome)->find("TimeZone"), "GMT");
}

TEST_F(SettingsTrialTest, TellsTheServersErrorWhenNobodyCanLogIn) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message&) {
    peer.send(sim::error_message("FATAL", "28P01", "password authentication failed for user \"alice\""));
    peer.close();
    return true;
  };
  const auto outcome = run_trial({});
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().sqlstate, base::kInvalidPassword);
}

TEST_F(SettingsTrialTest, TellsWhyThereWasNoConnectionInTime) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message&) {
    peer.send(sim::error_message("FATAL", "57P03", "the database system is starting up"));
    peer.close();
    return true;
  };
  const auto outcome = run_trial({}, seconds(2));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().sqlstate, base::kCannotConnectNow);
  EXPECT_EQ(pool->counts().waiting, 0U);
}

TEST_F(SettingsTrialTest, WaitsNoLongerThanItMayForAConnection) {
  ASSERT_TRUE(run_trial({}).has_value());
  struct Holder final : pool::Waiter {
    upstream::Upstream* upstream = nullptr;
    void on_granted(upstream::Upstream& granted) override { upstream = &granted; }
    void on_refused(const base::Error&) override {}
  } holder;
  run([&] { pool->check_out(holder, nullptr); });
  ASSERT_NE(holder.upstream, nullptr);
  const auto outcome = run_trial({}, seconds(2));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().sqlstate, base::kTooManyConnections);
  run([&] { pool->release(*holder.upstream, false); });
}

TEST_F(SettingsTrialTest, AServerThatLeavesIsAnError) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'Q') peer.close();
    return message.type == 'Q';
  };
  const auto outcome = run_trial({{"TimeZone", "GMT"}});
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().sqlstate, base::kConnectionFailure);
  EXPECT_EQ(pool->counts().lent, 0U);
}

TEST_F(SettingsTrialTest, AServerThatMakesNoSenseIsAnErrorAndIsClosed) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'Q') peer.send(sim::message('1'));
    return message.type == 'Q';
  };
  const auto outcome = run_trial({{"TimeZone", "GMT"}});
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().sqlstate, base::kProtocolViolation);
  let(milliseconds(100));
  EXPECT_EQ(server.open_peers(), 0U);
}

}  // namespace
}  // namespace penstock::session
