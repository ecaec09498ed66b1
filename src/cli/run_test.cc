#include "cli/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "auth/secret.h"
#include "cli/columns.h"
#include "cli/help_format.h"
#include "cli/manual.h"
#include "cli/run_fixture.h"

namespace penstock::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// --- tenants ---

TEST_F(RunTest, AddsATenantAndCreatesTheCatalog) {
  must({"tenant", "add", "default", "--host", "127.0.0.1", "--port", "6000", "--database", "app", "--tls",
        "require", "--auth", "scram", "--pool-size", "40", "--require-tls", "true", "--parameter",
        "search_path=a,b"});
  EXPECT_EQ(terminal_.written, "tenant \"default\" added\n");
  const auto tenant = stored()->by_id("default");
  ASSERT_NE(tenant, nullptr);
  EXPECT_THAT(tenant->hosts, ElementsAre(model::HostPort{"127.0.0.1", 6000}));
  EXPECT_EQ(tenant->upstream_database, "app");
  EXPECT_EQ(tenant->upstream_tls, model::TlsMode::kRequire);
  EXPECT_EQ(tenant->overrides.pool_size, 40);
  EXPECT_TRUE(tenant->require_tls);
  EXPECT_EQ(tenant->default_parameters.at("search_path"), "a,b");
}

TEST_F(RunTest, GivesThePortToHostsWithoutOne) {
  must({"tenant", "add", "a", "--host", "db1", "--host", "db2:7000", "--host", "[::1]", "--port", "6000"});
  EXPECT_THAT(
      stored()->by_id("a")->hosts,
      ElementsAre(model::HostPort{"db1", 6000}, model::HostPort{"db2", 7000}, model::HostPort{"::1", 6000}));
  must({"tenant", "set", "a", "--port", "8000"});
  EXPECT_EQ(stored()->by_id("a")->hosts[1].port, 8000);
}

TEST_F(RunTest, RefusesATenantTwiceUnlessToldOtherwise) {
  must({"tenant", "add", "a", "--host", "db"});
  EXPECT_EQ(penstock({"tenant", "add", "a", "--host", "other"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("tenant \"a\" exists already"));
  must({"tenant", "add", "a", "--host", "other", "--if-not-exists"});
  EXPECT_EQ(stored()->by_id("a")->hosts[0].host, "db");
}

TEST_F(RunTest, TakesAWrongTenantForMisuseAndWritesNothing) {
  EXPECT_EQ(penstock({"tenant", "add", "a.b", "--host", "db"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("letters, digits"));
  EXPECT_EQ(penstock({"tenant", "add", "a"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("--host is missing"));
  EXPECT_EQ(penstock({"tenant", "add", "a", "--host", "db", "--pool-size", "0"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("pool_size: must be a whole number, 1 to 100000, not \"0\""));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(RunTest, ShowsWhatSetHasChanged) {
  must({"tenant", "add", "a", "--host", "db", "--pool-size", "20"});
  must({"tenant", "set", "a", "--pool-size", "40", "--query-timeout", "30s", "--host", "db2"});
  EXPECT_EQ(terminal_.written,
            "hosts: db:5432 -> db2:5432\n"
            "pool_size: 20 -> 40\n"
            "query_timeout: (not set: the server's setting) -> 30s\n");
  must({"tenant", "set", "a", "--unset", "pool_size", "--unset", "query-timeout"});
  EXPECT_THAT(terminal_.written, HasSubstr("pool_size: 40 -> (not set: the server's setting)"));
  must({"tenant", "set", "a", "--host", "db2"});
  EXPECT_EQ(terminal_.written, "nothing changed\n");
  EXPECT_EQ(penstock({"tenant", "set", "a"}), kMisused);
  EXPECT_EQ(penstock({"tenant", "set", "a", "--unset", "pool_sise"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("Did you mean \"pool_size\"?"));
}

TEST_F(RunTest, RefusesAChangeThatLeavesATenantInvalid) {
  must({"tenant", "add", "a", "--host", "db", "--databases", "shop"});
  must({"tenant", "add", "b", "--host", "db"});
  EXPECT_EQ(penstock({"tenant", "set", "b", "--databases", "shop"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("tenants.b.databases: \"shop\" already leads to tenant \"a\""));
  EXPECT_EQ(penstock({"tenant", "set", "b", "--auth-query", "select 1"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("auth_query: must be an SQL query that uses $1"));
  EXPECT_EQ(penstock({"tenant", "set", "b", "--unset", "hosts"}), kFailed);
}

TEST_F(RunTest, FailsWhenItsOutputCannotBeWritten) {
  terminal_.finished = base::fail(base::kIoError, "the standard output cannot be written: no space");
  const std::vector<std::vector<std::string>> commands = {
      {"version"}, {"--help"}, {"catalog", "new-key"}, {"check"}};
  for (const std::vector<std::string>& words : commands) {
    EXPECT_EQ(penstock(words), kFailed) << words[0];
    EXPECT_THAT(terminal_.complaints, HasSubstr("the standard output cannot be written: no space"));
  }
}

TEST_F(RunTest, ListsAndShowsTenants) {
  must({"tenant", "add", "acme", "--host", "db", "--pool-size", "5"});
  must({"tenant", "add", "b", "--host", "/run/postgresql"});
  must({"tenant", "list"});
  EXPECT_EQ(terminal_.written,
            "TENANT  HOSTS                 DATABASE  POOL_MODE  POOL_SIZE  USERS  BANNED\n"
            "acme    db:5432               -         -          5          0      -\n"
            "b       /run/postgresql:5432  -         -          -          0      -\n");
  must({"tenant", "show", "acme"});
  EXPECT_EQ(terminal_.written, "id         acme\nhosts      db:5432\npool_size  5\nusers      (none)\n");
  must({"tenant", "show", "acme", "--all"});
  EXPECT_THAT(terminal_.written, HasSubstr("auth_method                (scram-sha-256)\n"));
  must({"tenant", "list", "--json"});
  EXPECT_THAT(terminal_.written,
              StartsWith(R"([{"id":"acme","hosts":["db:5432"],"pool_size":5,"users":[]},)"));
  must({"tenant", "show", "b", "--json"});
  EXPECT_EQ(terminal_.written, "{\"id\":\"b\",\"hosts\":[\"/run/postgresql:5432\"],\"users\":[]}\n");
}

TEST_F(RunTest, RemovesATenantWithItsUsers) {
  must({"tenant", "add", "a", "--host", "db"});
  must({"user", "add", "u.a", "--no-password"});
  must({"tenant", "remove", "a"});
  EXPECT_EQ(terminal_.written, "tenant \"a\" removed, with 1 user\n");
  EXPECT_THAT(stored()->tenants(), IsEmpty());
  must({"tenant", "remove", "a", "--if-exists"});
}

TEST_F(RunTest, SuggestsWhatWasMeant) {
  must({"tenant", "add", "default", "--host", "db"});
  must({"user", "add", "report", "--no-password"});
  EXPECT_EQ(penstock({"tenant", "remove", "defualt"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("tenant \"defualt\" does not exist"));
  EXPECT_THAT(terminal_.complaints, HasSubstr("Did you mean \"default\"?"));
  EXPECT_EQ(penstock({"user", "remove", "reprot"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("Did you mean \"report\"?"));
  EXPECT_EQ(penstock({"tenant", "show", "zzzzzz"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("`penstock tenant list` shows all"));
}

TEST_F(RunTest, SaysWhenThereIsNoCatalog) {
  EXPECT_EQ(penstock({"tenant", "list"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("cannot be found"));
  EXPECT_THAT(terminal_.complaints, HasSubstr("Hint: "));
}

// --- users ---

class UserTest : public RunTest {
 protected:
  void SetUp() override {
    must({"tenant", "add", "default", "--host", "db"});
    must({"tenant", "add", "acme", "--host", "db"});
  }
};

TEST_F(UserTest, FindsTheTenantOfANameAsClientsDo) {
  must({"user", "add", "app", "--no-password"});
  must({"user", "add", "app.acme", "--no-password"});
  must({"user", "add", "first.last", "--no-password"});
  must({"user", "add", "x.default", "--tenant", "acme", "--no-password"});
  EXPECT_NE(stored_user("default", "app"), nullptr);
  EXPECT_NE(stored_user("acme", "app"), nullptr);
  EXPECT_NE(stored_user("default", "first.last"), nullptr);
  EXPECT_NE(stored_user("acme", "x.default"), nullptr);
  must({"tenant", "remove", "default"});
  EXPECT_EQ(penstock({"user", "add", "app", "--no-password"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("leads to no tenant"));
}

TEST_F(UserTest, TakesAPasswordFromEverySource) {
  terminal_.answers = {"from stdin"};
  must({"user", "add", "a", "--password-stdin"});
  EXPECT_EQ(stored_user("default", "a")->secret, "from stdin");
  write("pw", "from file\nsecond line\n");
  must({"user", "add", "b", "--password-file", directory_ / "pw"});
  EXPECT_EQ(stored_user("default", "b")->secret, "from file");
  must({"user", "add", "c", "--password", "from words"});
  EXPECT_EQ(stored_user("default", "c")->secret, "from words");
  EXPECT_THAT(terminal_.complaints, HasSubstr("can be seen in the process list"));
  const std::string md5 = "md5" + std::string(32, '0');
  must({"user", "add", "d", "--secret", md5});
  EXPECT_EQ(stored_user("default", "d")->secret, md5);
  EXPECT_THAT(terminal_.complaints, IsEmpty());
  must({"user", "add", "e", "--secret", "plain"});
  EXPECT_THAT(terminal_.complaints, HasSubstr("--secret can be seen in the process list"));
}

TEST_F(UserTest, AsksTwiceOnATerminal) {
  terminal_.interactive = true;
  terminal_.answers = {"typed", "typed"};
  must({"user", "add", "a"});
  EXPECT_EQ(terminal_.complaints, "Password: Again: ");
  EXPECT_EQ(stored_user("default", "a")->secret, "typed");
  terminal_.answers = {"typed", "tpyed"};
  EXPECT_EQ(penstock({"user", "add", "b"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("the two passwords differ"));
}

TEST_F(UserTest, DoesNotGuessWhenThereIsNoPassword) {
  EXPECT_EQ(penstock({"user", "add", "a"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("--password-stdin"));
  terminal_.answers = {""};
  EXPECT_EQ(penstock({"user", "add", "a", "--password-stdin"}), kMisused);
  EXPECT_EQ(penstock({"user", "add", "a", "--password-file", directory_ / "no"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("cannot be read: No such file"));
  EXPECT_EQ(penstock({"user", "add", "a", "--password", "x", "--password-stdin"}), kMisused);
  EXPECT_EQ(penstock({"user", "add", "a", "--no-password", "--verifier-only"}), kMisused);
  EXPECT_EQ(penstock({"user", "add", "a", "--password", "x", "--secret", "y"}), kMisused);
  EXPECT_EQ(penstock({"user", "add", "a", "--secret", "SCRAM-SHA-256$broken"}), kMisused);
  EXPECT_THAT(terminal_.complaints, Not(HasSubstr("broken")));
  EXPECT_EQ(stored_user("default", "a"), nullptr);
}

TEST_F(UserTest, StoresOnlyAVerifierWhenAsked) {
  terminal_.answers = {"hunter2"};
  must({"user", "add", "a", "--password-stdin", "--verifier-only", "--set", "auth.scram_iterations=5000"});
  const auto verifier = auth::ScramVerifier::parse(*stored_user("default", "a")->secret);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(verifier->iterations, 5000);
  EXPECT_EQ(auth::make_verifier("hunter2", verifier->salt, 5000).stored_key, verifier->stored_key);
}

TEST_F(UserTest, ChangesAPasswordWithoutTellingIt) {
  must({"user", "add", "a", "--password", "old-one"});
  terminal_.answers = {"new-one"};
  must({"user", "set", "a", "--password-stdin", "--pool-size", "3"});
  EXPECT_EQ(terminal_.written, "secret: another password\npool_size: (not set: the tenant's setting) -> 3\n");
  EXPECT_EQ(stored_user("default", "a")->secret, "new-one");
  must({"user", "set", "a", "--no-password"});
  EXPECT_EQ(stored_user("default", "a")->secret, std::nullopt);
}

TEST_F(UserTest, NeverShowsASecret) {
  must({"user", "add", "a", "--password", "hunter2", "--upstream-secret", "hunter3"});
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"user", "show", "a"},
                                             {"user", "show", "a", "--all"},
                                             {"user", "show", "a", "--json"},
                                             {"user", "list"},
                                             {"user", "list", "--json"},
                                             {"tenant", "show", "default", "--json"},
                                             {"tenant", "list", "--json"},
                                             {"user", "set", "a", "--pool-size", "9", "--json"},
                                             {"check", "--print"}}) {
    must(words);
    EXPECT_THAT(terminal_.written + terminal_.complaints, Not(HasSubstr("hunter"))) << words[0] << words[1];
  }
}

TEST_F(UserTest, ListsShowsAndRemovesUsers) {
  must({"user", "add", "a", "--password", "x"});
  must({"user", "add", "b.acme", "--no-password", "--pool-mode", "session", "--auth", "peer"});
  must({"user", "list"});
  EXPECT_EQ(terminal_.written,
            "USER  TENANT   SECRET    POOL_MODE  POOL_SIZE\n"
            "b     acme     -         session    -\n"
            "a     default  password  -          -\n");
  must({"user", "list", "--tenant", "acme"});
  EXPECT_THAT(terminal_.written, Not(HasSubstr("default")));
  must({"user", "show", "b.acme"});
  EXPECT_EQ(terminal_.written,
            "name         b\ntenant       acme\nauth_method  peer\npool_mode    session\n");
  must({"user", "remove", "b.acme"});
  EXPECT_EQ(stored_user("acme", "b"), nullptr);
  must({"user", "remove", "b.acme", "--if-exists"});
  EXPECT_EQ(penstock({"user", "remove", "b.acme"}), kFailed);
}

TEST_F(UserTest, RefusesAUserTwiceUnlessToldOtherwise) {
  must({"user", "add", "a", "--no-password"});
  EXPECT_EQ(penstock({"user", "add", "a", "--no-password"}), kFailed);
  must({"user", "add", "a", "--if-not-exists"});
  EXPECT_THAT(terminal_.written, HasSubstr("left as it is"));
}

// --- check, serve and the rest ---

TEST_F(RunTest, ChecksAConfigurationAndNamesThePlace) {
  write("good.toml", "[pool]\nsize = 5\n");
  must({"check", "--config", directory_ / "good.toml"});
  EXPECT_THAT(terminal_.written, HasSubstr("ok, 0 warnings"));
  EXPECT_FALSE(std::filesystem::exists(file_)) << "a check creates nothing";
  write("bad.toml", "[pool]\nsize = -1\nsice = 2\n");
  EXPECT_EQ(penstock({"check", "--config", directory_ / "bad.toml"}), kFailed);
  EXPECT_THAT(terminal_.written, HasSubstr("bad.toml:2:8: pool.size"));
  EXPECT_THAT(terminal_.written, HasSubstr("bad.toml:3:"));
  EXPECT_THAT(terminal_.complaints, HasSubstr("2 errors"));
}

TEST_F(RunTest, ChecksThatAServerCouldStartWithTheFilesThatAreNamed) {
  EXPECT_EQ(penstock({"check", "--set", "client_tls.cert_file=/no/such.crt", "--set",
                      "client_tls.key_file=/no.key"}),
            kFailed);
  EXPECT_THAT(terminal_.written, HasSubstr("could not load certificate file \"/no/such.crt\""));
  EXPECT_EQ(penstock({"check", "--set", "server.catalog=/no/such/directory/penstock.db"}), kFailed);
  EXPECT_THAT(terminal_.written, HasSubstr("there is no directory \"/no/such/directory\""));
  write("socket.toml", "[[listener]]\naddress = \"/no/such/place\"\n");
  EXPECT_EQ(penstock({"check", "--config", directory_ / "socket.toml"}), kFailed);
  EXPECT_THAT(terminal_.written, HasSubstr("listeners: there is no directory \"/no/such/place\""));
}

TEST_F(RunTest, WarnsOfKeysThatOthersCanRead) {
  const std::string key = directory_ / "server.key";
  write("server.key", "");
  ASSERT_EQ(::chmod(key.c_str(), 0644), 0);
  (void)penstock(
      {"check", "--set", "client_tls.cert_file=/no/such.crt", "--set", "client_tls.key_file=" + key});
  EXPECT_THAT(terminal_.written, HasSubstr("warning: client_tls.key_file: others may read this key (0644)"));
  ASSERT_EQ(::chmod(key.c_str(), 0600), 0);
  (void)penstock(
      {"check", "--set", "client_tls.cert_file=/no/such.crt", "--set", "client_tls.key_file=" + key});
  EXPECT_THAT(terminal_.written, Not(HasSubstr("others may read")));
}

TEST_F(RunTest, WarnsOfTokensThatOthersCanRead) {
  write("token", "a secret for tokens that is long enough 0123456789\n");
  ASSERT_EQ(::chmod(std::string(directory_ / "token").c_str(), 0644), 0);
  write("api.toml",
        "[api]\nport = 6433\ntoken_secret_file = \"" + std::string(directory_ / "token") + "\"\n");
  must({"check", "--config", directory_ / "api.toml"});
  EXPECT_THAT(terminal_.written, HasSubstr("warning: api.token_secret_file: others may read it (0644)"));
  EXPECT_THAT(terminal_.written, HasSubstr("ok, 1 warning"));
  ASSERT_EQ(::chmod(std::string(directory_ / "token").c_str(), 0600), 0);
  must({"check", "--config", directory_ / "api.toml", "--set", "api.address=0.0.0.0"});
  EXPECT_THAT(terminal_.written, HasSubstr("warning: api.address: tokens and passwords cross the network"));
  must({"check", "--config", directory_ / "api.toml", "--set", "api.address=127.0.0.1"});
  EXPECT_THAT(terminal_.written, HasSubstr("ok, 0 warnings"));
}

TEST_F(RunTest, ChecksTheCatalogAndItsFiles) {
  must({"tenant", "add", "a", "--host", "db", "--upstream-tls-ca-file", "/no/such.pem"});
  must({"user", "add", "u.a", "--no-password"});
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  must({"check"});
  EXPECT_THAT(terminal_.written, HasSubstr("warning: tenants.a.users.u.secret: is missing"));
  EXPECT_THAT(terminal_.written,
              HasSubstr("warning: tenants.a.upstream_tls_ca_file: \"/no/such.pem\" cannot be read"));
  EXPECT_THAT(terminal_.written, HasSubstr("warning: mode: others may read it (0644)"));
  EXPECT_THAT(terminal_.written, HasSubstr("ok, 3 warnings"));
  write("penstock.db", "not a database, but long enough to look at");
  EXPECT_EQ(penstock({"check"}), kFailed);
  EXPECT_THAT(terminal_.written, HasSubstr("is no SQLite database"));
}

TEST_F(RunTest, HandsServeEverythingThatAReloadNeeds) {
  EXPECT_EQ(penstock({"serve", "--config", "x.toml", "--set", "pool.size=3", "--set", "log.level=debug",
                      "--catalog", "c.db"}),
            7);
  EXPECT_EQ(served.file, "x.toml");
  EXPECT_THAT(served.overrides, ElementsAre("pool.size=3", "log.level=debug", "server.catalog=c.db"));
  EXPECT_TRUE(served.environment.contains("PENSTOCK_SERVER_CATALOG"));
}

TEST_F(RunTest, TakesTheConfigurationFileFromTheEnvironment) {
  EXPECT_EQ(
      run({"serve"},
          {.terminal = terminal_, .environment = {{"PENSTOCK_CONFIG", "e.toml"}}, .serve = &fake_serve}),
      7);
  EXPECT_EQ(served.file, "e.toml");
  EXPECT_THAT(served.environment, IsEmpty());
}

TEST_F(RunTest, SaysWhenItWasNotUnderstood) {
  EXPECT_EQ(penstock({}), kMisused);
  EXPECT_EQ(penstock({"frobnicate"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("there is no command \"frobnicate\""));
  EXPECT_EQ(penstock({"tenant", "frobnicate", "--help-me"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("there is no command \"frobnicate\""));
  EXPECT_EQ(penstock({"tenant"}), kMisused);
  EXPECT_EQ(penstock({"tenant", "add", "a", "--no-such-option"}), kMisused);
  EXPECT_THAT(terminal_.complaints, StartsWith("penstock: "));
  EXPECT_EQ(penstock({"tenant", "show"}), kMisused);
  EXPECT_EQ(penstock({"--help"}), kDone);
  EXPECT_THAT(terminal_.written, HasSubstr("penstock tenant add default"));
  EXPECT_EQ(penstock({"version"}), kDone);
  EXPECT_THAT(terminal_.written, StartsWith("penstock "));
}

TEST(Wrap, BreaksAtBlanksAndNeverInsideAWord) {
  EXPECT_EQ(wrap("one two three", 7), "one two\nthree");
  EXPECT_EQ(wrap("one  longer-than-that", 5), "one\nlonger-than-that");
  EXPECT_EQ(wrap("", 5), "");
}

TEST(Columns, AreAsWideAsTheirWidestCell) {
  EXPECT_EQ(columns({{"A", "B"}, {"\xC3\xA9\xC3\xA9", "x\ny"}, {"1", ""}}),
            "A   B\n\xC3\xA9\xC3\xA9  x y\n1\n");
}

// Set PENSTOCK_TEST_WRITE=1 to write the page instead.
TEST(Manual, HasEveryCommandAsItIs) {
  const auto page = std::filesystem::path(__FILE__).parent_path() / "../../docs/manual/commands.md";
  if (std::getenv("PENSTOCK_TEST_WRITE") != nullptr) std::ofstream(page) << commands_for_manual();
  std::stringstream text;
  text << std::ifstream(page).rdbuf();
  EXPECT_EQ(text.str(), commands_for_manual())
      << "run this test with PENSTOCK_TEST_WRITE=1 and commit " << page;
}

// --- passwords that change ---

TEST_F(RunTest, KeepsThePreviousSecretForATimeOnlyWhenTold) {
  must({"tenant", "add", "a", "--host", "db"});
  must({"user", "add", "app.a", "--secret", "one"});
  must({"user", "set", "app.a", "--secret", "two", "--keep-previous", "1d"});
  EXPECT_THAT(terminal_.written, HasSubstr("previous_secret: (not set: none) -> password\n"));
  EXPECT_EQ(stored_user("a", "app")->previous_secret, "one");
  EXPECT_TRUE(stored_user("a", "app")->previous_secret_until);
  must({"user", "set", "app.a", "--secret", "three", "--keep-previous", "0"});
  EXPECT_EQ(stored_user("a", "app")->previous_secret, "two");
  EXPECT_FALSE(stored_user("a", "app")->previous_secret_until);
  must({"user", "set", "app.a", "--secret", "four"});
  EXPECT_FALSE(stored_user("a", "app")->previous_secret);
}

TEST_F(RunTest, RefusesToKeepWhatIsNotReplaced) {
  must({"tenant", "add", "a", "--host", "db"});
  must({"user", "add", "app.a", "--no-password"});
  EXPECT_EQ(penstock({"user", "set", "app.a", "--keep-previous", "1d"}), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("--keep-previous goes with a new secret"));
  EXPECT_EQ(penstock({"user", "set", "app.a", "--secret", "x", "--keep-previous", "a while"}), kMisused);
  EXPECT_EQ(penstock({"user", "set", "app.a", "--secret", "x", "--keep-previous", "1d"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("there is no old secret that could be kept"));
  EXPECT_EQ(penstock({"user", "set", "app.a", "--previous-secret", "x"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("previous_secret: needs a secret beside it"));
}

TEST_F(RunTest, AVerifierBesideAnOldOneGetsItsSalt) {
  must({"tenant", "add", "a", "--host", "db"});
  must({"user", "add", "app.a", "--password", "one", "--verifier-only"});
  must({"user", "set", "app.a", "--password", "two", "--verifier-only", "--keep-previous", "1h"});
  const auto* user = stored_user("a", "app");
  const auto fresh = auth::ScramVerifier::parse(*user->secret);
  const auto old = auth::ScramVerifier::parse(*user->previous_secret);
  ASSERT_TRUE(fresh && old);
  EXPECT_EQ(fresh->salt, old->salt);
  EXPECT_FALSE(fresh->stored_key == old->stored_key);
}

}  // namespace
}  // namespace penstock::cli
