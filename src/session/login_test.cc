// Whole log-ins on a simulated loop: which secrets are valid, what is counted, and what an outsider can see.
#include <gmock/gmock.h>

#include "auth/md5.h"
#include "catalog/timestamp.h"
#include "session/login_sim_test.h"
#include "session/pool_plan.h"

namespace penstock::session {
namespace {

using namespace testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Pair;

TEST_F(LoginTest, TheModeIsTheUsersOwnWhoeverCameFirst) {
  tenant.users = {{.name = "alice", .secret = "new", .upstream_user = "role", .upstream_secret = "secret"},
                  {.name = "bob",
                   .secret = "new",
                   .upstream_user = "role",
                   .upstream_secret = "secret",
                   .overrides = {.pool_mode = model::PoolMode::kSession}}};
  instruct();
  ASSERT_TRUE(log_in("alice.acme", "new").is_in);
  EXPECT_EQ(mode_of_newest(), model::PoolMode::kTransaction);
  ASSERT_TRUE(log_in("bob.acme", "new").is_in);
  EXPECT_EQ(mode_of_newest(), model::PoolMode::kSession);
  EXPECT_NE(pools.find(pool_key(*acme, &tenant.users[0], "alice", "shop")), nullptr) << "they share one";
  ASSERT_TRUE(log_in("alice.acme", "new").is_in);
  EXPECT_EQ(mode_of_newest(), model::PoolMode::kTransaction);
}

// Settings are read again while somebody is on its way in.
TEST_F(LoginTest, APoolThatALogInMakesHasTheSettingsOfThatMoment) {
  Guest& guest = challenged("alice.acme", "new");
  settings.pool_size = 7;
  instructions.settings = std::make_shared<const config::Settings>(settings);
  show_proof(guest);
  ASSERT_TRUE(guest.is_in);
  EXPECT_EQ(pools.find(pool_key(*acme, &alice(), "alice", "shop"))->config().size, 7);
}

TEST_F(LoginTest, APoolThatHadToWaitForRoomHasTheSettingsOfThatMoment) {
  home.drop_unused_pools = [this](const std::string& name) { pools.drop_unused(name); };
  tenant.max_pools = 1;
  instruct();
  Guest& first = log_in("alice.acme", "new", {}, "other");
  Guest& guest = log_in("alice.acme", "new");
  ASSERT_TRUE(first.is_in);
  ASSERT_FALSE(guest.is_in);
  settings.pool_size = 7;
  instructions.settings = std::make_shared<const config::Settings>(settings);
  run([&] {
    follow_settings(home);
    first.leave();
  });
  let(seconds(1));
  ASSERT_TRUE(guest.is_in);
  EXPECT_EQ(pools.find(pool_key(*acme, &alice(), "alice", "shop"))->config().size, 7);
}

TEST_F(LoginTest, BothPasswordsAreValidWhileOneIsBeingChanged) {
  EXPECT_FALSE(may_log_in("alice.acme", "old"));
  alice().previous_secret = "old";
  instruct();
  EXPECT_TRUE(may_log_in("alice.acme", "old"));
  EXPECT_TRUE(may_log_in("alice.acme", "new"));
  EXPECT_FALSE(may_log_in("alice.acme", "other"));
}

TEST_F(LoginTest, ThePreviousPasswordEndsAtItsTime) {
  alice().previous_secret = "old";
  alice().previous_secret_until = catalog::wall_clock_now() + std::chrono::hours(1);
  instruct();
  EXPECT_TRUE(may_log_in("alice.acme", "old"));
  alice().previous_secret_until = catalog::wall_clock_now() - milliseconds(1);
  instruct();
  EXPECT_FALSE(may_log_in("alice.acme", "old"));
  EXPECT_TRUE(may_log_in("alice.acme", "new"));
}

TEST_F(LoginTest, VerifiersOfDifferentSaltsTakeTurnsAfterAFailure) {
  alice().secret = auth::make_verifier("new", "salt one", 1).to_string();
  alice().previous_secret = auth::make_verifier("old", "salt two", 1).to_string();
  alice().upstream_secret = "x";
  instruct();
  EXPECT_TRUE(may_log_in("alice.acme", "new"));
  EXPECT_FALSE(may_log_in("alice.acme", "old"));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(may_log_in("alice.acme", "old"));
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(may_log_in("alice.acme", "new"));
    EXPECT_TRUE(may_log_in("alice.acme", "new"));
    EXPECT_FALSE(may_log_in("alice.acme", "old"));
    EXPECT_TRUE(may_log_in("alice.acme", "old"));
  }
  EXPECT_EQ(login_bans.size(), 0U) << "a password that fits one of the two is not wrong";
  // One that fits neither is, once both have been asked for.
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(may_log_in("alice.acme", "guess"));
  EXPECT_EQ(banned(), 1U);
}

TEST_F(LoginTest, ThoseWhoComeTogetherWithThePreviousPasswordFailOnceTogether) {
  alice().secret = auth::make_verifier("new", "salt one", 1).to_string();
  alice().previous_secret = auth::make_verifier("old", "salt two", 1).to_string();
  alice().upstream_secret = "x";
  instruct();
  const auto come_together = [&](int count, const std::string& password) {
    std::vector<Guest*> guests;
    for (int i = 0; i < count; ++i) guests.push_back(&challenged("alice.acme", password));
    run([&] {
      for (Guest* guest : guests) guest->go_on();
    });
    let(seconds(2));
    return std::ranges::count_if(guests, &Guest::is_in);
  };
  EXPECT_EQ(come_together(20, "old"), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(come_together(20, "old"), 20);
  EXPECT_EQ(login_bans.size(), 0U);
}

TEST_F(LoginTest, GuessesAtTheSameTimeAreLimitedUnderEachVerifier) {
  alice().secret = auth::make_verifier("new", "salt one", 1).to_string();
  alice().previous_secret = auth::make_verifier("old", "salt two", 1).to_string();
  alice().upstream_secret = "x";
  instruct();
  for (const char* right : {"new", "old"}) {
    std::vector<Guest*> guests;
    for (int i = 0; i < 10; ++i) guests.push_back(&challenged("alice.acme", "guess" + std::to_string(i)));
    guests.push_back(&challenged("alice.acme", right));
    run([&] {
      for (Guest* guest : guests) guest->go_on();
    });
    let(seconds(2));
    for (const Guest* guest : guests) EXPECT_FALSE(guest->is_in);
  }
  EXPECT_EQ(banned(), 1U);
}

TEST_F(LoginTest, ARefusalReadsTheCatalogFirst) {
  alice().secret = "newer";
  // The worker hears of it only when it asks.
  auto fresh = std::make_shared<const model::TenantSpec>(tenant);
  auto changed = std::make_shared<const model::CatalogSnapshot>(std::vector<model::TenantPtr>{fresh});
  on_reread = [&] { instructions.catalog = changed; };
  EXPECT_TRUE(may_log_in("alice.acme", "newer"));
  EXPECT_EQ(login_bans.size(), 0U);
}

TEST_F(LoginTest, SoDoesThatOfAUserWhoWasAddedAMomentAgo) {
  tenant.users.push_back({.name = "bob", .secret = "bob's"});
  auto fresh = std::make_shared<const model::TenantSpec>(tenant);
  auto changed = std::make_shared<const model::CatalogSnapshot>(std::vector<model::TenantPtr>{fresh});
  on_reread = [&] { instructions.catalog = changed; };
  EXPECT_TRUE(may_log_in("bob.acme", "bob's"));
}

TEST_F(LoginTest, ASecretThatHasJustChangedMakesNoPasswordWrong) {
  alice().secret = auth::make_verifier("newer", "another salt", 1).to_string();
  auto fresh = std::make_shared<const model::TenantSpec>(tenant);
  auto changed = std::make_shared<const model::CatalogSnapshot>(std::vector<model::TenantPtr>{fresh});
  on_reread = [&] { instructions.catalog = changed; };
  EXPECT_FALSE(may_log_in("alice.acme", "newer")) << "asked with the old salt";
  EXPECT_EQ(login_bans.size(), 0U);
  EXPECT_TRUE(may_log_in("alice.acme", "newer"));
}

TEST_F(LoginTest, AProofIsWorthWhatItIsWorthWhenItComes) {
  Guest& old = challenged("alice.acme", "new");
  Guest& fresh = challenged("alice.acme", "newer");
  alice().secret = "newer";
  instruct();
  show_proof(old);
  EXPECT_EQ(old.error.sqlstate, "28P01");
  show_proof(fresh);
  EXPECT_TRUE(fresh.is_in);
  EXPECT_EQ(login_bans.size(), 0U) << "what was right when it was asked for is no guess";

  Guest& removed = challenged("alice.acme", "newer");
  Guest& outside = challenged("alice.acme", "newer");
  const model::UserSpec user = alice();
  tenant.users.clear();
  instruct();
  show_proof(removed);
  EXPECT_EQ(removed.error.sqlstate, "28P01");
  tenant.users = {user};
  tenant.allow_list = {"192.0.2.0/24"};
  instruct();
  show_proof(outside);
  EXPECT_EQ(outside.error.sqlstate, "28000");
  EXPECT_EQ(outside.error.text, "connections from address \"10.0.0.1\" are not allowed");
}

TEST_F(LoginTest, SoIsThatOfAMethodWhichIsNotEnoughAnyMore) {
  Guest& guest = challenged("alice.acme", "new");
  alice().auth_method = model::AuthMethod::kCertificate;
  instruct();
  show_proof(guest);
  EXPECT_EQ(guest.error.sqlstate, "28000");
  EXPECT_EQ(guest.error.text, "certificate authentication failed for user \"alice\"");
}

TEST_F(LoginTest, GuessesAtTheSameTimeAreNoMoreThanOneAfterTheOther) {
  std::vector<Guest*> guests;
  for (int i = 0; i < 30; ++i) guests.push_back(&challenged("alice.acme", "guess" + std::to_string(i)));
  guests.push_back(&challenged("alice.acme", "new"));
  run([&] {
    for (Guest* guest : guests) guest->go_on();
  });
  let(seconds(1));
  std::map<std::string, int> ends;
  for (const Guest* guest : guests) ++ends[guest->is_in ? "in" : guest->error.sqlstate];
  EXPECT_THAT(ends, ElementsAre(Pair("28000", 28), Pair("28P01", 3)));
}

TEST_F(LoginTest, WhoComesAmongThemWaitsUntilItIsClearThatTheyWereNone) {
  alice().secret = "newer";
  auto fresh = std::make_shared<const model::TenantSpec>(tenant);
  auto changed = std::make_shared<const model::CatalogSnapshot>(std::vector<model::TenantPtr>{fresh});
  std::vector<Guest*> guests;
  for (int i = 0; i < 30; ++i) guests.push_back(&challenged("alice.acme", "newer"));
  on_reread = [&] { instructions.catalog = changed; };
  run([&] {
    for (Guest* guest : guests) guest->go_on();
  });
  let(seconds(1));
  for (const Guest* guest : guests) EXPECT_TRUE(guest->is_in) << guest->error.text;
  EXPECT_EQ(login_bans.size(), 0U);
}

TEST_F(LoginTest, TooManyWrongPasswordsBanTheAddress) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(log_in("alice.acme", "guess").error.sqlstate, "28P01");
  const Guest& guest = log_in("alice.acme", "new");
  EXPECT_EQ(guest.error.sqlstate, "28000");
  EXPECT_EQ(guest.error.text, "too many wrong passwords from address \"10.0.0.1\"");
  EXPECT_EQ(guest.seen, "E") << "before anything is asked";
  EXPECT_EQ(counters.counts[telemetry::WorkerCount::kBans].read(), 1U);
  EXPECT_EQ(counters.failures[telemetry::LoginFailure::kBanned].read(), 1U);
  EXPECT_EQ(counters.failures[telemetry::LoginFailure::kPassword].read(), 3U);
  let(settings.ban_time);
  EXPECT_TRUE(may_log_in("alice.acme", "new"));
}

TEST_F(LoginTest, ABanIsLiftedAtOnce) {
  for (int i = 0; i < 3; ++i) log_in("alice.acme", "guess");
  EXPECT_FALSE(may_log_in("alice.acme", "new"));
  login_bans.lift("acme", {"10.0.0.1"});
  EXPECT_TRUE(may_log_in("alice.acme", "new"));
}

TEST_F(LoginTest, OnlyWrongPasswordsCount) {
  server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 0) return false;
    peer.send(sim::error_message("FATAL", "28P01", "password authentication failed for user \"alice\""));
    peer.close();
    return true;
  };
  std::vector<Guest*> guests;
  for (int i = 0; i < 5; ++i) guests.push_back(&log_in("alice.acme", "new"));
  let(seconds(60));
  for (const Guest* guest : guests)
    EXPECT_EQ(guest->error.sqlstate, "28P01") << "the server's, not the client's";
  EXPECT_EQ(login_bans.size(), 0U);
}

TEST_F(LoginTest, AnMd5HashThatScramCannotCheckIsNoWrongPassword) {
  const std::string wrong = log_in("alice.acme", "guess").seen;
  login_bans.lift("acme", {"10.0.0.1"});
  alice().secret = *auth::md5_secret("new", "alice");
  instruct();
  for (int i = 0; i < 5; ++i) {
    const Guest& guest = log_in("alice.acme", "new");
    EXPECT_EQ(guest.error.sqlstate, "28P01");
    EXPECT_EQ(guest.seen, wrong) << "clients cannot tell";
  }
  EXPECT_EQ(login_bans.size(), 0U);
  alice().previous_secret = "old";
  instruct();
  EXPECT_TRUE(may_log_in("alice.acme", "old"));
  EXPECT_EQ(login_bans.size(), 0U);
  EXPECT_FALSE(may_log_in("alice.acme", "guess"));
  EXPECT_EQ(login_bans.size(), 1U) << "checked by the other secret";
}

TEST_F(LoginTest, WhoVanishesBeforeThereIsAProofIsNotCounted) {
  settings.ban_failures = 1;
  instruct();
  Guest guest(*loop, "alice.acme", "guess");
  guest.vanishes_before_its_proof = true;
  run([&] { guest.start(); });
  let(milliseconds(500));
  EXPECT_NE(guest.salt, "");
  EXPECT_EQ(login_bans.size(), 0U);
  telemetry::CounterSet<telemetry::LoginFailure>::Snapshot failures{};
  counters.failures.add_to(failures);
  EXPECT_THAT(failures, Each(0U)) << "psql does so at each log-in";
}

TEST_F(LoginTest, UnknownUsersAndTenantsLookLikeWrongPasswords) {
  settings.ban_failures = 0;
  instruct();
  const auto face = [&](const std::string& user, std::string_view options = {}) {
    Guest& guest = log_in(user, "guess", options);
    std::string text = guest.error.text;
    const std::size_t at = text.find('"' + user + '"');
    EXPECT_NE(at, std::string::npos) << text;
    if (at != std::string::npos) text.replace(at, user.size() + 2, "NAME");
    const auto offset = guest.refused_at.time_since_epoch() % CatalogReread::kEvery;
    EXPECT_LT(offset, milliseconds(20)) << "all are told at the moments of one grid";
    return guest.seen + " " + guest.error.sqlstate + " " + text + " " + std::to_string(guest.salt.size());
  };
  const std::string wrong = face("alice.acme");
  EXPECT_THAT(wrong, ::testing::HasSubstr("28P01"));
  EXPECT_EQ(face("nobody.acme"), wrong);
  EXPECT_EQ(face("alice.nosuch"), wrong);
  EXPECT_EQ(face("alice", "reference=nosuch"), wrong);
  EXPECT_EQ(face("alice", "reference=acme"), wrong);
}

TEST_F(LoginTest, WhatTheServerSaysToAuthQueryIsNotForOutsiders) {
  tenant.auth_query = "SELECT usename, passwd FROM pg_shadow WHERE usename=$1";
  tenant.auth_user = "alice";
  instruct();
  const auto server_says = [&](char to, const std::string& sqlstate) {
    server.script = [=](sim::ScriptedPeer& peer, const sim::Message& message) {
      if (message.type != to) return false;
      peer.send(sim::error_message(to == 0 ? "FATAL" : "ERROR", sqlstate, "the server's own words"));
      if (to == 0) peer.close();
      return true;
    };
    let(seconds(30));
  };
  const auto expect_wrong_password = [&] {
    const Guest& guest = log_in("zz.acme", "guess");
    EXPECT_EQ(guest.error.sqlstate, "28P01");
    EXPECT_EQ(guest.error.text, "password authentication failed for user \"zz.acme\"");
    EXPECT_NE(guest.salt, "");
  };
  server_says(0, "3D000");
  expect_wrong_password();
  EXPECT_EQ(login_bans.size(), 1U) << "like one for a user who does not exist";
  login_bans.lift("acme", {"10.0.0.1"});
  server_says('E', "42501");
  expect_wrong_password();
  EXPECT_EQ(login_bans.size(), 0U) << "where none can be checked, none is wrong";
  run([this] { pools.for_each([](pool::Pool& pool) { pool.retire_upstreams(); }); });
  server_says(0, "53300");
  const Guest& guest = log_in("zz.acme", "guess");
  EXPECT_EQ(guest.error.sqlstate, "08006");
  EXPECT_EQ(guest.error.text, "the password of user \"zz.acme\" cannot be checked at the moment");
}

TEST_F(LoginTest, SaltsAreStableAndOfEachUserAlone) {
  const auto salt = [&](const std::string& user, std::string_view options = {}) {
    return log_in(user, "guess", options).salt;
  };
  settings.ban_failures = 0;
  instruct();
  EXPECT_EQ(salt("nobody.acme"), salt("nobody.acme"));
  EXPECT_EQ(salt("alice.nosuch"), salt("alice.nosuch"));
  EXPECT_EQ(salt("alice.nosuch"), salt("alice", "reference=nosuch"));
  EXPECT_EQ(salt("alice.acme"), salt("alice", "reference=acme"));
  EXPECT_NE(salt("alice.nosuch"), salt("alice.nosuch2"));
  EXPECT_NE(salt("nobody.nosuch"), salt("alice.nosuch"));
}

TEST_F(LoginTest, SaltsDoNotTellWhatLeadsToATenant) {
  settings.ban_failures = 0;
  tenant.databases = {"shop"};
  instruct();
  const auto salt = [&](const std::string& user, std::string_view database) {
    return log_in(user, "guess", {}, database).salt;
  };
  for (const char* user : {"zz", "alice"}) {
    const std::string named = std::string(user) + ".acme";
    EXPECT_EQ(salt(user, "shop"), salt(user, "nosuch")) << "one leads to acme, the other nowhere";
    EXPECT_NE(salt(user, "shop"), salt(named, "shop"));
    EXPECT_EQ(salt(named, "shop"), salt(named, "nosuch"));
  }
}

TEST_F(LoginTest, ATenantThatDoesNotExistBansLikeOneThatDoes) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(log_in("alice.nosuch", "guess").error.sqlstate, "28P01");
  EXPECT_EQ(log_in("alice.nosuch", "guess").error.sqlstate, "28000");
  EXPECT_EQ(log_in("alice.nosuch2", "guess").error.sqlstate, "28P01");
  EXPECT_TRUE(may_log_in("alice.acme", "new"));
}

TEST_F(LoginTest, NothingIsDerivedForAUserBeforeTheProof) {
  const auto before = scram_keys.counts().misses;
  Guest guest(*loop, "alice.acme", "new");
  guest.vanishes_before_its_proof = true;
  run([&] { guest.start(); });
  let(milliseconds(200));
  EXPECT_NE(guest.salt, "");
  EXPECT_EQ(scram_keys.counts().misses, before) << "how long the challenge takes would tell who exists";
}

}  // namespace
}  // namespace penstock::session
