// What becomes of a pool that several users share when one of them changes or goes.
#include <gtest/gtest.h>

#include "session/home_sim_test.h"
#include "session/pool_plan.h"

namespace penstock::session {
namespace {

using namespace testing;

class SharedPoolTest : public HomeTest {
 public:
  SharedPoolTest() {
    tenant.users = {{.name = "alice", .upstream_user = "app", .upstream_secret = "secret"},
                    {.name = "bob", .upstream_user = "app", .upstream_secret = "secret"},
                    {.name = "carol", .upstream_user = "other", .upstream_secret = "carols"}};
    follow();
  }
  void follow() {
    instruct();
    run([&] { follow_catalog(home, "acme"); });
  }
  // As the first client of this user makes it.
  std::shared_ptr<pool::Pool> make_pool(const char* name) {
    const model::UserSpec* user = model::CatalogSnapshot::find_user(*acme, name);
    auto config = make_pool_config(instructions.settings, {.tenant = acme,
                                                           .user = user,
                                                           .client_user = name,
                                                           .user_name = role_at_server(user, name),
                                                           .database = "shop",
                                                           .credentials = credentials_of(user, std::nullopt),
                                                           .parameters = {}});
    return pools.find_or_make(pool_key(*acme, user, name, "shop"), *config);
  }
  static std::string secret_of(const pool::Pool& pool) {
    const auto& secret = pool.config().plan->credential.secret;
    return secret.has_value() ? secret->to_string() : std::string();
  }
};

TEST_F(SharedPoolTest, GoesOnWithAnotherUsersSecretWhenTheFirstIsGone) {
  const auto pool = make_pool("alice");
  tenant.users.erase(tenant.users.begin());
  follow();
  tenant.users[0].upstream_secret = "new";
  tenant.users[0].overrides.pool_size = 3;
  follow();
  EXPECT_EQ(secret_of(*pool), "new");
  EXPECT_EQ(pool->config().client_user, "bob");
  EXPECT_EQ(pool->config().size, 3);
}

TEST_F(SharedPoolTest, GoesOnWithAnotherUsersSecretWhenTheFirstTakesAnotherRole) {
  const auto pool = make_pool("alice");
  tenant.users[0].upstream_user = "other";
  tenant.users[0].upstream_secret = "others";
  follow();
  EXPECT_EQ(secret_of(*pool), "secret");
  EXPECT_EQ(pool->config().user, "app");
}

TEST_F(SharedPoolTest, GoesOnWithAnotherUsersSecretWhenTheFirstHasNoneAnyMore) {
  const auto pool = make_pool("alice");
  tenant.users[0].upstream_secret.reset();
  tenant.users[0].secret = "alices own";
  follow();
  EXPECT_EQ(secret_of(*pool), "secret");
}

TEST_F(SharedPoolTest, KeepsToTheUserWhoMadeItAsLongAsItIsOneOfThem) {
  const auto pool = make_pool("bob");
  tenant.users[1].upstream_secret = "new";
  follow();
  EXPECT_EQ(secret_of(*pool), "new");
  EXPECT_EQ(pool->config().client_user, "bob");
}

// Else a user would have two pools' connections, for as long as idle ones are kept.
TEST_F(SharedPoolTest, APoolToWhichNobodyComesAnyMoreKeepsNothingIdle) {
  tenant.users = {{.name = "dave", .secret = "its own"}, {.name = "eve", .secret = "its own"}};
  tenant.overrides.min_pool_size = 1;
  follow();
  const auto empty = make_pool("dave");
  const auto busy = make_pool("eve");
  run([&] { busy->add_client(+1); });
  let(seconds(3));
  ASSERT_EQ(empty->counts().idle, 1U);
  ASSERT_EQ(busy->counts().idle, 1U);
  for (model::UserSpec& user : tenant.users) user.upstream_secret = "secret";
  follow();
  EXPECT_EQ(empty->counts().idle, 0U) << "at once: it has no clients";
  EXPECT_EQ(busy->counts().idle, 1U);
  let(seconds(3));
  EXPECT_EQ(empty->counts().idle, 0U);
  EXPECT_EQ(busy->counts().idle, 0U) << "and no other was opened";
  for (model::UserSpec& user : tenant.users) user.upstream_secret.reset();
  follow();
  let(seconds(3));
  EXPECT_EQ(busy->counts().idle, 1U) << "it is their pool again";
  run([&] { busy->add_client(-1); });
}

// What its own log-in has shown lets nobody else in.
TEST_F(SharedPoolTest, APoolOfOneUserTakesNoOthersSecret) {
  tenant.users[0] = {.name = "app", .secret = "its own"};
  follow();
  const auto pool = make_pool("app");
  tenant.users.erase(tenant.users.begin());
  follow();
  EXPECT_EQ(secret_of(*pool), "its own");
}

}  // namespace
}  // namespace penstock::session
