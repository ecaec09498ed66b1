#include "session/auth_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "session/home_sim_test.h"

namespace penstock::session {
namespace {

using namespace testing;

class AuthQueryTest : public HomeTest {
 public:
  using Secret = std::optional<std::string>;
  AuthQueryTest() {
    tenant.auth_query = "SELECT usename, passwd FROM pg_shadow WHERE usename=$1";
    tenant.auth_user = "alice";
    settings.auth_query_cache_ttl = seconds(60);
    settings.auth_query_negative_ttl = seconds(2);
    instruct();
    server.script = [this](sim::ScriptedPeer& peer, const sim::Message& message) {
      if (silent && message.type != 0) return true;
      if (message.type == 'B') asked_for_ = parameter_of(message);
      if (message.type != 'E') return false;
      ++asked;
      if (const auto found = secrets.find(asked_for_); found != secrets.end()) {
        peer.send(sim::data_row({answer_name.value_or(found->first), found->second}));
      }
      peer.send(sim::message('C', sim::zero_ended("SELECT 1")));
      return true;
    };
  }
  base::Result<Secret> read(const std::string& user, base::Duration patience = seconds(10),
                            const std::string& database = "shop") {
    auto result = sim::run_task(*loop, auth_query.read(home, acme, user, database, world.now() + patience));
    if (!result.has_value()) return base::fail(base::kInternalError, "no end");
    return std::move(*result);
  }
  Secret secret_of(const std::string& user, const std::string& database = "shop") {
    auto result = read(user, seconds(10), database);
    EXPECT_TRUE(result.has_value()) << result.error().to_string();
    return result.value_or("error");
  }

  // Of other databases the server says that they do not exist.
  void refuse_databases_but(const std::string& name) {
    server.script = [this, name, answer = server.script](sim::ScriptedPeer& peer,
                                                         const sim::Message& message) {
      const std::string wanted = sim::zero_ended("database") + sim::zero_ended(name);
      if (message.type != 0 || message.body.contains(wanted)) return answer(peer, message);
      peer.send(sim::error_message("FATAL", "3D000", "database \"nosuch\" does not exist"));
      peer.close();
      return true;
    };
  }
  int pool_count() {
    int count = 0;
    pools.for_each([&](pool::Pool&) { ++count; });
    return count;
  }

  std::map<std::string, std::string> secrets = {{"bob", "bob's secret"}};
  std::optional<std::string> answer_name;  // instead of the role's
  bool silent = false;                     // the server answers no query
  int asked = 0;

 private:
  static std::string parameter_of(const sim::Message& bind) {
    sim::Fields fields(bind.body);
    (void)fields.text();
    (void)fields.text();
    for (auto formats = fields.be16(); formats > 0; --formats) (void)fields.be16();
    return fields.be16() == 0 ? std::string() : fields.bytes(fields.be32());
  }
  std::string asked_for_;
};

TEST_F(AuthQueryTest, ReadsARolesSecretAsTheAuthUser) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  EXPECT_EQ(server.peer(0).startup.at("user"), "alice");
  EXPECT_EQ(server.peer(0).startup.at("database"), "shop");
}

TEST_F(AuthQueryTest, ReadsInTheAuthDatabaseWhereThereIsOne) {
  tenant.auth_database = "postgres";
  tenant.users[0].upstream_user = "pooler";
  instruct();
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  EXPECT_EQ(server.peer(0).startup.at("user"), "pooler");
  EXPECT_EQ(server.peer(0).startup.at("database"), "postgres");
}

TEST_F(AuthQueryTest, AStormOfLogInsAsksOnce) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(secret_of("bob"), "bob's secret");
  EXPECT_EQ(asked, 1);
}

TEST_F(AuthQueryTest, AChangedSecretCountsAMomentLater) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  secrets["bob"] = "changed";
  let(milliseconds(1100));
  EXPECT_EQ(secret_of("bob"), "changed");
  EXPECT_EQ(asked, 2);
}

TEST_F(AuthQueryTest, ALogInThatFailsMakesItAskAgain) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  secrets["bob"] = "changed";
  let(milliseconds(200));
  auth_query.doubt(*acme, "somebody else", "shop", world.now());
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  auth_query.doubt(*acme, "bob", "shop", world.now());
  EXPECT_EQ(secret_of("bob"), "changed");
}

TEST_F(AuthQueryTest, SoDoesOneOfARoleThatWasNotThere) {
  EXPECT_EQ(secret_of("eve"), std::nullopt);
  secrets["eve"] = "eve's secret";
  let(milliseconds(200));
  auth_query.doubt(*acme, "eve", "shop", world.now());
  EXPECT_EQ(secret_of("eve"), "eve's secret");
}

TEST_F(AuthQueryTest, LogInsThatFailTogetherAskOnce) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  let(milliseconds(200));
  for (int i = 0; i < 10; ++i) {
    auth_query.doubt(*acme, "bob", "shop", world.now());
    EXPECT_EQ(secret_of("bob"), "bob's secret");
  }
  EXPECT_EQ(asked, 2);
}

TEST_F(AuthQueryTest, ARoleThatIsDroppedIsGone) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  secrets.clear();
  let(milliseconds(1100));
  EXPECT_EQ(secret_of("bob"), std::nullopt);
}

TEST_F(AuthQueryTest, WhenTheServerDoesNotAnswerTheOldSecretCounts) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  silent = true;
  let(seconds(30));
  const auto before = world.now();
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  EXPECT_LE(world.now() - before, milliseconds(2100)) << "no longer than it takes to see that it does not";
}

TEST_F(AuthQueryTest, WhenTheServerIsGoneTheOldSecretCountsUntilItsTimeIsOver) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  run([&] { pools.for_each([](pool::Pool& pool) { pool.retire_upstreams(); }); });
  far->post([&] { server.stop(); });
  let(seconds(30));
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  let(seconds(31));
  const auto result = read("bob");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().sqlstate, base::kConnectionFailure);
}

TEST_F(AuthQueryTest, ThatThereIsNoSuchRoleIsRememberedBriefly) {
  EXPECT_EQ(secret_of("carol"), std::nullopt);
  secrets["carol"] = "new";
  let(milliseconds(1500));
  EXPECT_EQ(secret_of("carol"), std::nullopt);
  EXPECT_EQ(asked, 1);
  let(milliseconds(600));
  EXPECT_EQ(secret_of("carol"), "new");
}

TEST_F(AuthQueryTest, EachRoleHasItsOwnAnswer) {
  secrets["carol"] = "carol's secret";
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  EXPECT_EQ(secret_of("carol"), "carol's secret");
  EXPECT_EQ(secret_of("bob"), "bob's secret");
}

TEST_F(AuthQueryTest, AnAnswerAboutAnotherRoleIsNone) {
  answer_name = "postgres";
  EXPECT_EQ(secret_of("bob"), std::nullopt);
}

TEST_F(AuthQueryTest, TellsTheServersOwnErrorWhenNothingIsRemembered) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'E') return false;
    peer.send(sim::error_message("ERROR", "42501", "permission denied for view pg_shadow"));
    return true;
  };
  const auto result = read("bob");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "permission denied for view pg_shadow");
}

TEST_F(AuthQueryTest, AnAnswerThatIsNotTwoColumnsIsAnError) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'E') peer.send(sim::data_row({"bob"}));
    return false;
  };
  const auto result = read("bob");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().sqlstate, base::kInvalidParameterValue);
}

TEST_F(AuthQueryTest, AnAuthUserWhoIsNoUserIsAnError) {
  tenant.auth_user = "nobody";
  instruct();
  const auto result = read("bob");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().sqlstate, base::kConfigFileError);
}

TEST_F(AuthQueryTest, EachDatabaseThatIsAskedHasItsOwnAnswer) {
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  secrets["bob"] = "another one";
  EXPECT_EQ(secret_of("bob", "elsewhere"), "another one");
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  tenant.auth_database = "postgres";
  instruct();
  EXPECT_EQ(secret_of("bob", "one"), "another one");
  EXPECT_EQ(secret_of("bob", "two"), "another one");
  EXPECT_EQ(asked, 3);
}

TEST_F(AuthQueryTest, NamesThatNoRoleOrDatabaseCanHaveAreNotAskedAbout) {
  EXPECT_EQ(secret_of(std::string(64, 'x')), std::nullopt);
  EXPECT_EQ(secret_of("bob", std::string(64, 'x')), std::nullopt);
  EXPECT_EQ(server.peers.size(), 0U);
  EXPECT_EQ(auth_query.size(), 0U);
  EXPECT_EQ(secret_of(std::string(63, 'x')), std::nullopt);
  EXPECT_EQ(asked, 1);
}

TEST_F(AuthQueryTest, WhatIsOverDoesNotFillTheMemory) {
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(secret_of("nobody" + std::to_string(i)), std::nullopt);
    let(milliseconds(10));
  }
  EXPECT_LT(auth_query.size(), 1100U);
}

TEST_F(AuthQueryTest, DatabasesThatDoNotExistLeaveNoPools) {
  refuse_databases_but("shop");
  tenant.overrides.min_pool_size = 1;
  instruct();
  const auto refused = read("bob", seconds(10), "nosuch");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sqlstate, base::kInvalidCatalogName);
  EXPECT_EQ(pool_count(), 0);
  EXPECT_FALSE(read("bob", seconds(10), "nosuch").has_value());
  EXPECT_EQ(server.peers.size(), 1U) << "that it does not exist is remembered briefly";
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  EXPECT_EQ(pool_count(), 1);
}

TEST_F(AuthQueryTest, ManyDatabasesThatDoNotExistAreTriedAFewAtATime) {
  refuse_databases_but("shop");
  std::vector<io::Task<base::Result<Secret>>> tasks;
  int ended = 0;
  int most = 0;
  run([&] {
    for (int i = 0; i < 100; ++i) {
      tasks.push_back(
          auth_query.read(home, acme, "bob", "nosuch" + std::to_string(i), world.now() + seconds(30)));
    }
    for (auto& task : tasks) {
      task.start([&] { ++ended; });
      most = std::max(most, pool_count());
    }
  });
  EXPECT_EQ(most, 4);
  EXPECT_EQ(secret_of("bob"), "bob's secret") << "others get their turn";
  let(seconds(5));
  EXPECT_EQ(ended, 100);
  EXPECT_EQ(pool_count(), 1);
}

TEST_F(AuthQueryTest, AServerThatIsGoneLeavesFewPools) {
  far->post([&] { server.stop(); });
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(read("bob", seconds(10), "any" + std::to_string(i)).has_value());
  EXPECT_LE(pool_count(), 4);
}

TEST_F(AuthQueryTest, ATenantsPoolsAreNoMoreThanItMayHave) {
  tenant.max_pools = 1;
  instruct();
  int dropped = 0;
  home.drop_unused_pools = [&](const std::string&) { ++dropped; };
  EXPECT_EQ(secret_of("bob"), "bob's secret");
  const auto result = read("bob", seconds(10), "elsewhere");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().sqlstate, base::kTooManyConnections);
  EXPECT_EQ(pool_count(), 1);
  home.drop_unused_pools = [&](const std::string& id) { pools.drop_unused(id); };
  EXPECT_EQ(secret_of("bob", "elsewhere"), "bob's secret");
  EXPECT_GT(dropped, 0);
}

TEST_F(AuthQueryTest, WaitsNoLongerThanTheClientMay) {
  silent = true;
  const auto before = world.now();
  const auto result = read("bob", seconds(4));
  ASSERT_FALSE(result.has_value());
  EXPECT_GE(world.now() - before, seconds(4));
  EXPECT_LE(world.now() - before, milliseconds(4100));
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 0U) << "its query may still run: nobody else gets that connection";
}

}  // namespace
}  // namespace penstock::session
