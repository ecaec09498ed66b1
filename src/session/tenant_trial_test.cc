#include "session/tenant_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "session/home_sim_test.h"
#include "session/pool_plan.h"
#include "session/pool_query.h"

namespace penstock::session {
namespace {

using namespace testing;
using ::testing::HasSubstr;

class TenantTrialTest : public HomeTest {
 public:
  // What is wrong; empty: nothing.
  std::string trouble() {
    instruct();
    auto result = sim::run_task(*loop, try_tenant(pools.home(), instructions.settings, acme));
    if (!result.has_value()) return "no end";
    let(seconds(1));
    return *result ? "" : result->error().message;
  }
  // Whether the tenant's clients can use its servers.
  bool serves() {
    instruct();
    return *sim::run_task(*loop, ask());
  }
  io::Task<bool> ask() {
    const auto config =
        make_pool_config(instructions.settings, {.tenant = acme,
                                                 .user = &acme->users[0],
                                                 .client_user = "alice",
                                                 .user_name = "alice",
                                                 .database = "postgres",
                                                 .credentials = credentials_of(&acme->users[0], std::nullopt),
                                                 .parameters = {}});
    const auto pool = pools.find_or_make(pool_key(*acme, &acme->users[0], "alice", "postgres"), *config);
    const auto rows = co_await PoolQuery(*pool, "SELECT $1::text", "", loop->now() + seconds(5));
    co_return rows.has_value();
  }
};

TEST_F(TenantTrialTest, LogsInAsEachUserAndLeavesNothingBehind) {
  tenant.upstream_database = "shop";
  tenant.users.push_back({.name = "bob", .secret = "secret", .upstream_user = "robert"});
  EXPECT_EQ(trouble(), "");
  ASSERT_EQ(server.peers.size(), 2U);
  EXPECT_EQ(server.peer(0).startup.at("user"), "alice");
  EXPECT_EQ(server.peer(1).startup.at("user"), "robert");
  EXPECT_EQ(server.peer(1).startup.at("database"), "shop");
  EXPECT_EQ(server.open_peers(), 0U);
}

TEST_F(TenantTrialTest, NeedsNoPlaceOfTheTenantAndTakesNone) {
  tenant.overrides.max_upstreams = 1;
  settings.max_upstreams = settings.max_upstreams_per_user = settings.max_upstreams_per_database = 1;
  settings.connects_per_second = 1;
  tenant.users.push_back({.name = "bob", .secret = "secret"});
  ASSERT_TRUE(serves());
  const auto begun = world.now();
  EXPECT_EQ(trouble(), "");
  EXPECT_LE(world.now() - begun, seconds(2)) << "it waits for nobody";
  ASSERT_EQ(server.peers.size(), 3U);
  EXPECT_EQ(server.open_peers(), 1U);
  EXPECT_TRUE(serves());
  EXPECT_EQ(server.peers.size(), 3U) << "the tenant still has the connection it had";
}

TEST_F(TenantTrialTest, PassesOverUsersOfWhomOnlyAVerifierIsKnown) {
  tenant.users[0].secret =
      "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  tenant.users.push_back({.name = "bob"});
  EXPECT_EQ(trouble(), "");
  EXPECT_TRUE(server.peers.empty());
}

TEST_F(TenantTrialTest, NamesUserHostAndWhatTheServerSaid) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 0) return false;
    peer.send(sim::error_message("FATAL", "3D000", "database \"postgres\" does not exist"));
    peer.close();
    return true;
  };
  EXPECT_EQ(trouble(),
            "user \"alice\" cannot use database \"postgres\" at 10.0.0.5:5432: database \"postgres\" does "
            "not exist");
}

TEST_F(TenantTrialTest, DoesNotWaitForEver) {
  server.script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type != 0; };
  const auto begun = world.now();
  EXPECT_THAT(trouble(), HasSubstr("no answer within 10 s"));
  EXPECT_LE(world.now() - begun, kTrialPatience + seconds(2));
  EXPECT_EQ(server.open_peers(), 0U);
}

TEST_F(TenantTrialTest, RunsTheAuthQueryAsItsUser) {
  tenant.auth_query = "SELECT usename, passwd FROM pg_shadow WHERE usename=$1";
  tenant.auth_user = "alice";
  tenant.auth_database = "admin";
  std::vector<std::optional<std::string>> row = {"alice", "secret"};
  server.script = [&](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'E') return false;
    if (!row.empty()) peer.send(sim::data_row({row[0].value(), row[1].value()}));
    peer.send(sim::message('C', sim::zero_ended("SELECT 1")));
    return true;
  };
  EXPECT_EQ(trouble(), "");
  EXPECT_EQ(server.peer(0).startup.at("database"), "admin");
  row[0] = "somebody";
  EXPECT_THAT(trouble(), HasSubstr("auth_query must return one row of name and secret for user \"alice\""));
  row.clear();
  EXPECT_THAT(trouble(), HasSubstr("not 0 row(s)"));
  // Where only listed users may log in, nobody runs it.
  tenant.require_user = true;
  EXPECT_EQ(trouble(), "");
}

TEST_F(TenantTrialTest, CanBeGivenUp) {
  server.script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type != 0; };
  auto trial =
      std::make_unique<io::Task<base::Status>>(try_tenant(pools.home(), instructions.settings, acme));
  run([&] { trial->start([] { FAIL() << "nobody listens any more"; }); });
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 1U);
  run([&] { trial.reset(); });
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 0U);
}

}  // namespace
}  // namespace penstock::session
