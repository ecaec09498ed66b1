#include "session/pool_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "session/home_sim_test.h"
#include "tls/certificates_test.h"

namespace penstock::session {
namespace {

using namespace testing;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Pair;

class PoolPlanTest : public HomeTest {
 public:
  pool::PoolConfigPtr make(const model::UserSpec* user = nullptr, pgwire::Parameters parameters = {}) {
    instruct();
    auto config = make_pool_config(instructions.settings, {.tenant = acme,
                                                           .user = user,
                                                           .client_user = "alice",
                                                           .user_name = "alice_at_server",
                                                           .database = "shop",
                                                           .credentials = {},
                                                           .parameters = std::move(parameters)});
    EXPECT_TRUE(config.has_value());
    return *config;
  }
  std::shared_ptr<pool::Pool> make_pool() {
    const auto* user = &acme->users[0];
    auto config = make_pool_config(instructions.settings, {.tenant = acme,
                                                           .user = user,
                                                           .client_user = "alice",
                                                           .user_name = "alice",
                                                           .database = "shop",
                                                           .credentials = credentials_of(user, std::nullopt),
                                                           .parameters = {}});
    return pools.find_or_make(pool_key(*acme, user, "alice", "shop"), *config);
  }
  std::shared_ptr<pool::Pool> make_pool_that_verifies(const tls::testing::Certificates& certificates) {
    tenant.upstream_tls = model::TlsMode::kVerifyCa;
    tenant.upstream_tls_ca_file = certificates.ca_file();
    instruct();
    return make_pool();
  }
  // Opens one connection of the pool, which is idle afterwards.
  void warm_up(pool::Pool& pool) {
    struct Visitor final : pool::Waiter {
      pool::Pool* pool = nullptr;
      void on_granted(upstream::Upstream& upstream) override { pool->release(upstream, false); }
      void on_refused(const base::Error& error) override { ADD_FAILURE() << error.to_string(); }
    } visitor;
    visitor.pool = &pool;
    run([&] { pool.check_out(visitor, nullptr); });
    EXPECT_TRUE(world.run_until([&] { return pool.counts().idle == 1; }, world.now() + seconds(10)));
  }
};

TEST_F(PoolPlanTest, AUsersWishGoesBeforeTheTenantsAndThatBeforeTheSettings) {
  settings.pool_size = 10;
  settings.min_pool_size = 1;
  settings.reserve_pool_size = 2;
  settings.pool_mode = model::PoolMode::kSession;
  EXPECT_EQ(make()->size, 10);
  EXPECT_EQ(make()->mode, model::PoolMode::kSession);
  tenant.overrides.pool_size = 20;
  tenant.overrides.min_pool_size = 3;
  tenant.overrides.pool_mode = model::PoolMode::kTransaction;
  model::UserSpec user{.name = "alice"};
  EXPECT_EQ(make(&user)->size, 20);
  user.overrides.pool_size = 30;
  user.overrides.pool_mode = model::PoolMode::kStatement;
  const auto config = make(&user);
  EXPECT_EQ(config->size, 30);
  EXPECT_EQ(config->mode, model::PoolMode::kStatement);
  EXPECT_EQ(config->min_size, 3) << "each on its own";
  EXPECT_EQ(config->reserve_size, 2);
}

TEST_F(PoolPlanTest, APoolThatUsersShareIsAsLargeAsOneOfThemWantsIt) {
  settings.pool_size = 10;
  settings.max_upstreams_per_user = 5;
  settings.log_slow_query = seconds(1);
  tenant.users = {{.name = "alice", .upstream_user = "alice_at_server", .upstream_secret = "secret"},
                  {.name = "bob",
                   .upstream_user = "alice_at_server",
                   .upstream_secret = "secret",
                   .overrides = {.pool_mode = model::PoolMode::kSession,
                                 .pool_size = 30,
                                 .min_pool_size = 2,
                                 .max_upstreams = 40,
                                 .slow_query = seconds(2)}},
                  {.name = "carol", .overrides = {.pool_size = 99}}};
  instruct();
  for (const char* first : {"alice", "bob"}) {
    const model::UserSpec user = *model::CatalogSnapshot::find_user(*acme, first);
    const auto config = make(&user);
    EXPECT_EQ(config->size, 30) << first;
    EXPECT_EQ(config->min_size, 2) << first;
    EXPECT_EQ(config->max_upstreams_of_user, 40) << first;
    EXPECT_EQ(config->mode, std::nullopt) << first;
    EXPECT_EQ(config->slow_query, seconds(1)) << first;
    EXPECT_THAT(config->slow_query_of, ElementsAre(Pair("bob", seconds(2)))) << first;
  }
  tenant.users[0].overrides.pool_size = 0;
  model::UserSpec bob = tenant.users[1];
  EXPECT_EQ(make(&bob)->size, 0) << "no limit is the largest";
  bob.upstream_secret.reset();
  EXPECT_EQ(make(&bob)->size, 30) << "who has a secret of its own has a pool of its own";
}

TEST_F(PoolPlanTest, ZeroIsAWishToo) {
  settings.pool_size = 10;
  tenant.overrides.pool_size = 20;
  const model::UserSpec user{.name = "alice", .overrides = {.pool_size = 0}};
  EXPECT_EQ(make(&user)->size, 0);
}

TEST_F(PoolPlanTest, ConnectionsAreLimitedForTenantAndUserEachByItsOwn) {
  settings.max_upstreams_per_tenant = 50;
  settings.max_upstreams_per_user = 5;
  settings.max_upstreams_per_database = 40;
  settings.max_upstreams = 100;
  tenant.overrides.max_upstreams = 60;
  model::UserSpec user{.name = "alice"};
  EXPECT_EQ(make(&user)->max_upstreams_of_tenant, 60);
  EXPECT_EQ(make(&user)->max_upstreams_of_user, 5) << "a tenant's limit is for all its users together";
  user.overrides.max_upstreams = 7;
  EXPECT_EQ(make(&user)->max_upstreams_of_user, 7);
  EXPECT_EQ(make(&user)->max_upstreams_of_tenant, 60);
  EXPECT_EQ(make(&user)->max_upstreams_of_database, 40);
  EXPECT_EQ(make(&user)->max_upstreams_of_process, 100);
}

TEST_F(PoolPlanTest, SaysWhereAndAsWhom) {
  tenant.connect_query = "SET role app";
  settings.upstream_login_timeout = seconds(7);
  const auto config = make();
  EXPECT_EQ(config->tenant, "acme");
  EXPECT_EQ(config->client_user, "alice");
  EXPECT_EQ(config->user, "alice_at_server");
  EXPECT_EQ(config->database, "shop");
  EXPECT_EQ(config->plan->user, "alice_at_server");
  EXPECT_EQ(config->plan->database, "shop");
  EXPECT_EQ(config->plan->hosts, tenant.hosts);
  EXPECT_EQ(config->plan->connect_timeout, seconds(3));
  EXPECT_EQ(config->plan->login_timeout, seconds(7));
  EXPECT_EQ(config->plan->tls, nullptr);
  EXPECT_EQ(config->connect_query, "SET role app");
  EXPECT_EQ(config->tenant_spec, acme);
}

TEST_F(PoolPlanTest, TheTenantsStartUpParametersAreForThoseWhoSendNone) {
  tenant.default_parameters = {{"search_path", "app"}, {"TimeZone", "UTC"}};
  EXPECT_THAT(make()->plan->parameters, ElementsAre(Pair("TimeZone", "UTC"), Pair("search_path", "app")));
}

TEST_F(PoolPlanTest, WhatTheClientSendsGoesBeforeTheTenantsStartUpParameters) {
  tenant.default_parameters = {{"search_path", "app"}, {"TimeZone", "UTC"}};
  // Of a parameter sent twice the server takes the last.
  EXPECT_THAT(
      make(nullptr, {{"replication", "true"}, {"timezone", "Asia/Tokyo"}})->plan->parameters,
      ElementsAre(Pair("replication", "true"), Pair("timezone", "Asia/Tokyo"), Pair("search_path", "app")));
}

TEST_F(PoolPlanTest, TlsFilesThatCannotBeReadAreAnError) {
  tenant.upstream_tls = model::TlsMode::kVerifyFull;
  tenant.upstream_tls_ca_file = "/nowhere/ca.pem";
  instruct();
  const auto config = make_pool_config(instructions.settings, {.tenant = acme,
                                                               .user = nullptr,
                                                               .client_user = "alice",
                                                               .user_name = "alice",
                                                               .database = "shop",
                                                               .credentials = {},
                                                               .parameters = {}});
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().to_string().find("/nowhere/ca.pem"), std::string::npos)
      << config.error().to_string();
}

TEST_F(PoolPlanTest, KeysTellTenantsDatabasesAndUsersApart) {
  const auto key = [](const model::TenantSpec& of, const char* user, const char* database) {
    return pool_key(of, nullptr, user, database);
  };
  EXPECT_EQ(key(*acme, "alice", "shop"), key(*acme, "alice", "shop"));
  EXPECT_NE(key(*acme, "alice", "shop"), key(*acme, "bob", "shop"));
  EXPECT_NE(key(*acme, "alice", "shop"), key(*acme, "alice", "stock"));
  model::TenantSpec other = tenant;
  other.id = "other";
  EXPECT_NE(key(*acme, "alice", "shop"), key(other, "alice", "shop"));
}

TEST_F(PoolPlanTest, ASlashInANameMakesNoOtherPoolsKey) {
  const model::UserSpec slash{.name = "s", .secret = "x", .upstream_user = "svc/alice"};
  const model::UserSpec plain{.name = "s", .secret = "x", .upstream_user = "alice"};
  EXPECT_NE(pool_key(*acme, &slash, "s", "shop"), pool_key(*acme, &plain, "s", "shop/svc"));
}

TEST_F(PoolPlanTest, OnlyWhoHasBeenGivenTheServersSecretSharesThePoolOfItsRole) {
  tenant.users = {{.name = "a", .secret = "pa", .upstream_user = "shared"},
                  {.name = "b", .secret = "pb", .upstream_user = "shared"},
                  {.name = "c", .secret = "pc", .upstream_user = "shared", .upstream_secret = "theirs"},
                  {.name = "d", .secret = "pd", .upstream_user = "shared", .upstream_secret = "theirs"}};
  instruct();
  const auto key = [&](std::size_t i) {
    return pool_key(*acme, &acme->users[i], acme->users[i].name, "shop");
  };
  EXPECT_NE(key(0), key(1));
  EXPECT_NE(key(0), key(2));
  EXPECT_EQ(key(2), key(3));
  const std::string own = pool_key(*acme, nullptr, "shared", "shop");
  EXPECT_NE(key(2), own) << "it logs in with what it has shown";
  EXPECT_THAT(pool_keys(*acme, {.tenant = "acme", .database = "shop", .user = "shared"}),
              IsSupersetOf({key(0), key(1), key(2), own}));
}

TEST_F(PoolPlanTest, KeysThatProveNothingHereChangeNothingThatWorks) {
  const auto verifier = [](const auth::ScramKeys& keys, const char* salt) {
    return keys.verifier(salt, 1).to_string();
  };
  const auth::ScramKeys own = auth::derive_keys("own", "salt1", 1);
  const auth::ScramKeys strange = auth::derive_keys("strange", "salt2", 1);
  tenant.users[0].secret = verifier(own, "salt1");
  instruct();
  const auto pool = make_pool();
  run([&] {
    renew_credential(*pool, {.secret = {}, .keys = own});
    renew_credential(*pool, {.secret = {}, .keys = strange});
    EXPECT_EQ(pool->config().plan->credential.keys->client_key, own.client_key);
  });
  // They were of a verifier that another worker knew already.
  tenant.users[0].secret = verifier(strange, "salt2");
  instruct();
  run([&] {
    follow_catalog(home, "acme");
    ASSERT_TRUE(pool->config().plan->credential.keys.has_value());
    EXPECT_EQ(pool->config().plan->credential.keys->client_key, strange.client_key);
  });
}

TEST_F(PoolPlanTest, ANewSizeTakesEffectAndKeepsConnections) {
  const auto pool = make_pool();
  warm_up(*pool);
  tenant.overrides.pool_size = 3;
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  let(seconds(1));
  EXPECT_EQ(pool->config().size, 3);
  EXPECT_EQ(server.open_peers(), 1U);
}

TEST_F(PoolPlanTest, NewSettingsTakeEffectAndKeepConnections) {
  const auto pool = make_pool();
  warm_up(*pool);
  settings.pool_size = 4;
  instructions.settings = std::make_shared<const config::Settings>(settings);
  run([&] { follow_settings(home); });
  let(seconds(1));
  EXPECT_EQ(pool->config().size, 4);
  EXPECT_EQ(server.open_peers(), 1U);
}

TEST_F(PoolPlanTest, AnotherHostClosesOldConnections) {
  const auto pool = make_pool();
  warm_up(*pool);
  tenant.hosts = {{.host = "10.0.0.6"}};
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 0U);
  EXPECT_EQ(pool->config().plan->hosts, tenant.hosts);
}

TEST_F(PoolPlanTest, AChangeOfHostsNeedsNoTlsFileOnceMore) {
  tls::testing::Certificates certificates;
  const auto pool = make_pool_that_verifies(certificates);
  const auto tls = pool->config().plan->tls;
  std::filesystem::remove(certificates.ca_file());
  tenant.hosts = {{.host = "10.0.0.6"}};
  tenant.overrides.pool_size = 3;
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(pool->config().plan->hosts, tenant.hosts);
  EXPECT_EQ(pool->config().plan->tls, tls);
  EXPECT_EQ(pool->config().size, 3);
  EXPECT_EQ(pool->config().tls_trouble, "");
}

TEST_F(PoolPlanTest, WhereNewTlsFilesCannotBeReadTheOldOnesServeAndAllElseIsTaken) {
  tls::testing::Certificates certificates;
  const auto pool = make_pool_that_verifies(certificates);
  const auto tls = pool->config().plan->tls;
  tenant.upstream_tls_ca_file = "/nowhere/ca.pem";
  tenant.hosts = {{.host = "10.0.0.6"}};
  tenant.overrides.pool_size = 3;
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(pool->config().plan->hosts, tenant.hosts);
  EXPECT_EQ(pool->config().plan->tls, tls);
  EXPECT_EQ(pool->config().size, 3);
  EXPECT_NE(pool->config().tls_trouble.find("/nowhere/ca.pem"), std::string::npos);
  // Once there is something to read, it is read.
  tenant.upstream_tls_ca_file = certificates.ca_file();
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(pool->config().tls_trouble, "");
  EXPECT_NE(pool->config().plan->tls, nullptr);
}

TEST_F(PoolPlanTest, NewHostsAreNotDialledWithLessThanTheTenantWishes) {
  const auto pool = make_pool();
  const auto hosts = tenant.hosts;
  tenant.upstream_tls = model::TlsMode::kVerifyFull;
  tenant.upstream_tls_ca_file = "/nowhere/ca.pem";
  tenant.hosts = {{.host = "10.0.0.6"}};
  tenant.overrides.pool_size = 3;
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(pool->config().plan->hosts, hosts);
  EXPECT_EQ(pool->config().plan->tls_mode, model::TlsMode::kDisable);
  EXPECT_EQ(pool->config().size, 3);
}

TEST_F(PoolPlanTest, AnotherPasswordIsForTheNextConnections) {
  const auto pool = make_pool();
  warm_up(*pool);
  tenant.users[0].secret = "changed";
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 1U);
  EXPECT_EQ(pool->config().plan->credential.secret->plain(), "changed");
}

TEST_F(PoolPlanTest, WhileAPasswordIsBeingChangedTheOneThatWorkedIsTriedFirst) {
  const auto pool = make_pool();
  const auto secrets = [&] {
    const upstream::DialPlan& plan = *pool->config().plan;
    return std::string(plan.credential.secret->plain()) + ", " +
           (plan.other_credential.secret ? std::string(plan.other_credential.secret->plain()) : "-");
  };
  EXPECT_EQ(secrets(), "secret, -");
  tenant.users[0].secret = "new";
  tenant.users[0].previous_secret = "secret";
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(secrets(), "secret, new");
  tenant.users[0].previous_secret.reset();
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(secrets(), "new, -");
  // Of a user's own secret towards the server likewise.
  tenant.users[0].upstream_secret = "theirs";
  tenant.users[0].previous_upstream_secret = "new";
  instruct();
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_EQ(secrets(), "new, theirs");
}

TEST_F(PoolPlanTest, ATenantThatIsGoneHasNoConnections) {
  const auto pool = make_pool();
  warm_up(*pool);
  instructions.catalog = std::make_shared<const model::CatalogSnapshot>(std::vector<model::TenantPtr>{});
  run([&] { follow_catalog(home, "acme"); });
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 0U);
}

TEST_F(PoolPlanTest, AChangeOfAnotherTenantIsNoneOfItsBusiness) {
  const auto pool = make_pool();
  const auto config = pool->config_ptr();
  instruct();
  run([&] {
    follow_catalog(home, "acm");
    follow_catalog(home, "acme2");
  });
  EXPECT_EQ(pool->config_ptr(), config);
  run([&] { follow_catalog(home, "acme"); });
  EXPECT_NE(pool->config_ptr(), config);
}

// A log-in may have begun before the change and made its pool after it.
TEST_F(PoolPlanTest, APoolMadeFromWhatIsNoLongerTrueCatchesUp) {
  const auto pool = make_pool();
  run([&] { catch_up(home, *pool); });
  const auto config = pool->config_ptr();
  tenant.overrides.pool_size = 3;
  instruct();
  run([&] { catch_up(home, *pool); });
  EXPECT_EQ(pool->config().size, 3);
  EXPECT_NE(pool->config_ptr(), config);
}

TEST_F(PoolPlanTest, NewKeysAreForTheNextConnections) {
  const auto pool = make_pool();
  warm_up(*pool);
  const auth::ScramKeys keys = auth::derive_keys("secret", "salt", 1);
  tenant.users[0].secret = keys.verifier("salt", 1).to_string();
  instruct();
  run([&] {
    follow_catalog(home, "acme");
    renew_credential(*pool, upstream::Credential{});
    EXPECT_FALSE(pool->config().plan->credential.keys.has_value());
    renew_credential(*pool, {.secret = {}, .keys = keys});
    ASSERT_TRUE(pool->config().plan->credential.keys.has_value());
    const auto* plan = pool->config().plan.get();
    renew_credential(*pool, {.secret = {}, .keys = keys});
    EXPECT_EQ(pool->config().plan.get(), plan) << "the same keys change nothing";
  });
  let(seconds(1));
  EXPECT_EQ(server.open_peers(), 1U);
}

TEST_F(PoolPlanTest, KeysBelongToTheVerifierThatTheyProve) {
  const auth::ScramKeys old_keys = auth::derive_keys("old", "salt1", 1);
  const auth::ScramKeys new_keys = auth::derive_keys("new", "salt2", 1);
  tenant.users[0].secret = old_keys.verifier("salt1", 1).to_string();
  instruct();
  const auto pool = make_pool();
  run([&] { renew_credential(*pool, {.secret = {}, .keys = old_keys}); });
  tenant.users[0].previous_secret = tenant.users[0].secret;
  tenant.users[0].secret = new_keys.verifier("salt2", 1).to_string();
  instruct();
  const auto same = [](const upstream::Credential& credential, const auth::ScramKeys& keys) {
    return credential.keys.has_value() && credential.keys->client_key == keys.client_key;
  };
  run([&] {
    follow_catalog(home, "acme");
    EXPECT_TRUE(same(pool->config().plan->credential, old_keys)) << "still the one that worked";
    EXPECT_FALSE(pool->config().plan->other_credential.usable());
    renew_credential(*pool, {.secret = {}, .keys = new_keys});
    EXPECT_TRUE(same(pool->config().plan->credential, old_keys));
    EXPECT_TRUE(same(pool->config().plan->other_credential, new_keys));
  });
}

TEST_F(PoolPlanTest, UntilAClientShowsTheKeysOfANewVerifierTheOldOnesServe) {
  const auth::ScramKeys old_keys = auth::derive_keys("old", "salt1", 1);
  const auth::ScramKeys new_keys = auth::derive_keys("new", "salt2", 1);
  tenant.users[0].secret = old_keys.verifier("salt1", 1).to_string();
  instruct();
  const auto pool = make_pool();
  run([&] { renew_credential(*pool, {.secret = {}, .keys = old_keys}); });
  tenant.users[0].secret = new_keys.verifier("salt2", 1).to_string();
  instruct();
  run([&] {
    follow_catalog(home, "acme");
    EXPECT_TRUE(pool->config().plan->other_credential.usable());
    renew_credential(*pool, {.secret = {}, .keys = new_keys});
    EXPECT_EQ(pool->config().plan->credential.keys->client_key, new_keys.client_key);
  });
}

TEST_F(PoolPlanTest, ASecretThatAuthQueryFoundFollowsTheServers) {
  const auto pool = make_pool();
  run([&] {
    renew_credential(*pool, {.secret = auth::Secret::parse("asked"), .keys = {}});
    EXPECT_EQ(pool->config().plan->credential.secret->plain(), "asked");
  });
}

TEST_F(PoolPlanTest, WhatAClientHasShownElsewhereIsLearnt) {
  tenant.users[0].secret.reset();
  tenant.auth_query = "select 1";
  instruct();
  const auto* user = &acme->users[0];
  const auto wish = [&](const char* secret) {
    return *make_pool_config(instructions.settings,
                             {.tenant = acme,
                              .user = user,
                              .client_user = "alice",
                              .user_name = "alice",
                              .database = "shop",
                              .credentials = credentials_of(user, auth::Secret::parse(secret)),
                              .parameters = {}});
  };
  const auto pool = pools.find_or_make(pool_key(*acme, user, "alice", "shop"), wish("old"));
  run([&] { renew_credential(*pool, *wish("new")); });
  EXPECT_EQ(pool->config().plan->credential.secret->plain(), "new");
}

}  // namespace
}  // namespace penstock::session
