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
