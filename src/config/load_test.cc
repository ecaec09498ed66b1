#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace penstock::config {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

// The errors of a file as lines, in order.
std::vector<std::string> errors_of(std::string_view text) {
  const auto loaded = load_text(text, "p.toml");
  std::vector<std::string> lines;
  if (!loaded) {
    for (const base::Error& error : loaded.error()) lines.push_back(error.where + ": " + error.message);
  }
  return lines;
}

base::Error only_error_of(std::string_view text) {
  const auto loaded = load_text(text, "p.toml");
  if (loaded) return {.message = "no error"};
  EXPECT_THAT(loaded.error(), SizeIs(1));
  return loaded.error().front();
}

TEST(Load, GivesTheDefaultsWhenNothingIsSaid) {
  const auto loaded = load({});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->settings, Settings{});
  EXPECT_TRUE(loaded->origins.empty());
}

TEST(Load, ChecksNetworks) {
  EXPECT_TRUE(load_text("auth.ban_exempt = []", "p.toml"));
  EXPECT_TRUE(load_text("auth.ban_exempt = [\"10.0.0.0/8\", \"2001:db8::/32\"]", "p.toml"));
  EXPECT_EQ(only_error_of("auth.ban_exempt = [\"10.0.0.0/8\", \"proxy\"]").message,
            "auth.ban_exempt: \"proxy\" is no network");
}

TEST(Load, ReadsEveryKindOfValueFromTheFile) {
  const auto loaded = load_text(R"(
timeouts.query = "90s"
[server]
io_backend = "epoll"
workers = 3
[pool]
mode = "session"
upstream_idle_timeout = 0
ignore_startup_parameters = ["extra_float_digits", "search_path"]
application_name_add_host = true
[limits]
message_bytes_max = "64MB"
startup_bytes_max = 20000
[client_tls]
min_protocol = "1.3"
)",
                                "p.toml");
  ASSERT_TRUE(loaded) << loaded.error().front().to_string();
  const Settings& s = loaded->settings;
  EXPECT_EQ(s.query_timeout, seconds(90));
  EXPECT_EQ(s.io_backend, IoBackend::kEpoll);
  EXPECT_EQ(s.workers, 3);
  EXPECT_EQ(s.pool_mode, model::PoolMode::kSession);
  EXPECT_EQ(s.upstream_idle_timeout, seconds(0));
  EXPECT_THAT(s.ignore_startup_parameters, testing::ElementsAre("extra_float_digits", "search_path"));
  EXPECT_TRUE(s.application_name_add_host);
  EXPECT_EQ(s.message_bytes_max, 64u << 20);
  EXPECT_EQ(s.startup_bytes_max, 20000u);
  EXPECT_EQ(s.client_tls_min_protocol, "1.3");
  EXPECT_EQ(loaded->origins.at("server.workers"), "p.toml:5:11");
}

TEST(Load, ReadsListenersAsSectionsOfTheirOwn) {
  const auto loaded = load_text(R"(
[[listener]]
address = "*"
[[listener]]
address = "/run/penstock"
port = 5432
pool_mode = "session"
unix_mode = "0770"
)",
                                "p.toml");
  ASSERT_TRUE(loaded) << loaded.error().front().to_string();
  const std::vector<ListenerSettings> expected = {
      {.address = "*"},
      {.address = "/run/penstock", .port = 5432, .pool_mode = model::PoolMode::kSession, .unix_mode = 0770}};
  EXPECT_EQ(loaded->settings.listeners, expected);
}

TEST(Load, ExplainsAnErrorInWholeSentences) {
  EXPECT_EQ(explain({.message = "x is wrong", .hint = "Set y.", .where = "p.toml:1:2"}),
            "p.toml:1:2: x is wrong. Set y.");
  EXPECT_EQ(explain({.message = "x is wrong", .detail = "Allowed: z.", .hint = "Set y."}),
            "x is wrong. Allowed: z. Set y.");
}

TEST(Load, LetsEnvironmentWinOverFileAndCommandLineOverBoth) {
  const std::string file = testing::TempDir() + "/penstock_load_test.toml";
  std::ofstream(file) << "[pool]\nsize = 1\nmin_size = 1\nreserve_size = 1\n";
  const auto loaded = load({.file = file,
                            .environment = {{"PENSTOCK_POOL_SIZE", "2"}, {"PENSTOCK_POOL_MIN_SIZE", "2"}},
                            .overrides = {"pool.size=3", "pool.size=4"}});
  ASSERT_TRUE(loaded) << loaded.error().front().to_string();
  EXPECT_EQ(loaded->settings.pool_size, 4);
  EXPECT_EQ(loaded->settings.min_pool_size, 2);
  EXPECT_EQ(loaded->settings.reserve_pool_size, 1);
  EXPECT_EQ(loaded->origins.at("pool.size"), "--set pool.size");
  EXPECT_EQ(loaded->origins.at("pool.min_size"), "PENSTOCK_POOL_MIN_SIZE");
  EXPECT_EQ(loaded->origins.at("pool.reserve_size"), file + ":4:16");
}

TEST(Load, TakesListenersFromEnvironmentAndCommandLine) {
  const auto loaded =
      load({.environment = {{"PENSTOCK_LISTENERS", "127.0.0.1:1,[::]:6543?mode=transaction"}}});
  ASSERT_TRUE(loaded);
  ASSERT_THAT(loaded->settings.listeners, SizeIs(2));
  EXPECT_EQ(loaded->settings.listeners[1].pool_mode, model::PoolMode::kTransaction);
  EXPECT_EQ(load({.overrides = {"listeners=*:5"}})->settings.listeners.front().address, "*");
}

TEST(Load, NamesLineAndColumnOfAllMistakesInTheirOrder) {
  EXPECT_THAT(
      errors_of("[server]\nworkers = -1\nwokers = 2\n[pool]\nsize = \"big\"\n[auth]\nscram_iterations = 1\n"),
      testing::ElementsAre(
          "p.toml:2:11: server.workers: -1 is out of range", "p.toml:3:1: section server has no \"wokers\"",
          "p.toml:5:8: pool.size: found a text", "p.toml:7:20: auth.scram_iterations: 1 is out of range"));
}

TEST(Load, SaysWhatIsAllowedAndWhatWasMeant) {
  const base::Error error = only_error_of("[pool]\nszie = 5\n");
  EXPECT_EQ(error.sqlstate, base::kConfigFileError);
  EXPECT_THAT(error.detail, HasSubstr("Allowed: mode, size, min_size"));
  EXPECT_EQ(error.hint, "Did you mean pool.size?");
  EXPECT_EQ(only_error_of("[pol]\nsize = 5\n").hint, "Did you mean [pool]?");
  EXPECT_EQ(only_error_of("default_pool_size = 5\n").hint, "Did you mean pool.size?");
  EXPECT_EQ(only_error_of("[[listener]]\nadress = \"*\"\n").hint, "Did you mean address?");
}

TEST(Load, RefusesADurationWithoutUnit) {
  const base::Error error = only_error_of("[timeouts]\nquery = 5\n");
  EXPECT_EQ(error.message, "timeouts.query: 5 has no unit");
  EXPECT_EQ(error.hint, "Write \"5s\" for seconds or \"5ms\" for milliseconds.");
}

TEST(Load, RefusesValuesOfTheWrongType) {
  EXPECT_EQ(only_error_of("[log]\nconnections = \"true\"\n").hint, "Leave out the quotes.");
  EXPECT_EQ(only_error_of("[pool]\nignore_startup_parameters = \"a\"\n").hint,
            "Write it in brackets: [\"a\", \"b\"].");
  EXPECT_EQ(only_error_of("[pool]\nsize = 1.5\n").message, "pool.size: found a fraction");
  EXPECT_EQ(only_error_of("[[listener]]\nunix_mode = 777\n").hint, "Write it in quotes: \"0777\".");
  EXPECT_EQ(only_error_of("pool = 3\n").message, "pool is a section");
  EXPECT_EQ(only_error_of("[listener]\nport = 1\n").message, "listener: found no list of sections");
  EXPECT_EQ(only_error_of("[[listener]]\naddress = \"localhost\"\n").message,
            "listener.address: \"localhost\" is not an address to listen on");
}

TEST(Load, SaysWhereTheTextIsNotToml) {
  const base::Error error = only_error_of("[pool]\nsize = \n");
  EXPECT_EQ(error.message, "this is not TOML");
  EXPECT_THAT(error.where, HasSubstr("p.toml:2:"));
  EXPECT_EQ(error.hint, "");
}

TEST(Load, ShowsTheWayToThoseWhoComeWithAFileOfPgBouncer) {
  const auto loaded = load_text("[databases]\nshop = host=db1\n", "pgbouncer.ini");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().front().hint, HasSubstr("from-pgbouncer"));
}

TEST(Load, RefusesMoreWorkersThanThereWouldBe) {
  EXPECT_TRUE(load_text("server.workers = 64", "p.toml"));
  EXPECT_THAT(only_error_of("server.workers = 65").detail, HasSubstr("0 to 64"));
}

TEST(Load, RefusesAPortThatEachWorkerWouldChooseForItself) {
  const base::Error error = only_error_of("[[listener]]\nport = 0\n");
  EXPECT_THAT(error.message, HasSubstr("listener.port: 0"));
  EXPECT_THAT(error.detail, HasSubstr("1 to 65535"));
  EXPECT_THAT(error.where, HasSubstr("p.toml:2"));
}

TEST(Load, FindsContradictionsBetweenSettings) {
  EXPECT_EQ(only_error_of("[client_tls]\ncert_file = \"a\"\n").message,
            "client_tls.cert_file is set, but client_tls.key_file is not");
  EXPECT_EQ(only_error_of("[client_tls]\nmode = \"require\"\n").message,
            "client_tls.mode: require needs a certificate");
  EXPECT_EQ(only_error_of("[client_tls]\nmode = \"verify-full\"\ncert_file=\"a\"\nkey_file=\"b\"\n").hint,
            "Set client_tls.ca_file.");
  EXPECT_EQ(only_error_of("[pool]\nmin_size = 30\n").where, "p.toml:2:12");
  EXPECT_EQ(only_error_of("listener = []\n").message, "listeners: there is none");
  EXPECT_THAT(only_error_of("[[listener]]\n[[listener]]\n").message, HasSubstr("named twice"));
}

TEST(Load, TellsOurUnknownVariablesFromOthers) {
  const auto wrong = load({.environment = {{"PENSTOCK_POOL_SZIE", "1"}}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().front().where, "PENSTOCK_POOL_SZIE");
  EXPECT_EQ(wrong.error().front().hint, "Did you mean pool.size?");

  const auto other = load({.environment = {{"PENSTOCK_PORT", "tcp://10.0.0.1:6432"},
                                           {"PENSTOCK_PORT_6432_TCP_ADDR", "10.0.0.1"},
                                           {"PENSTOCK_SERVICE_HOST", "10.0.0.1"},
                                           {"PENSTOCK_POOL_SERVICE_PORT", "6432"},
                                           {"PENSTOCK_CONFIG", "/etc/penstock.toml"},
                                           {"PENSTOCK_POOLSIZE", "5"},
                                           {"PATH", "/bin"}}});
  ASSERT_TRUE(other) << other.error().front().to_string();
  EXPECT_THAT(other->warnings, testing::ElementsAre(HasSubstr("PENSTOCK_POOLSIZE")));
}

TEST(Load, RefusesOverridesItDoesNotUnderstand) {
  EXPECT_THAT(load({.overrides = {"pool.size"}}).error().front().message, HasSubstr("has no value"));
  EXPECT_EQ(load({.overrides = {"pool.szie=1"}}).error().front().hint, "Did you mean pool.size?");
  EXPECT_EQ(load({.overrides = {"pool_size=1"}}).error().front().hint, "Did you mean pool.size?");
  EXPECT_EQ(load({.overrides = {"pool.size=x"}}).error().front().where, "--set pool.size");
}

TEST(Load, SaysWhyAFileCannotBeRead) {
  const auto missing = load({.file = "/nowhere/penstock.toml"});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().front().message, HasSubstr("No such file"));
  EXPECT_FALSE(load({.file = "/"})) << "a directory";
}

TEST(Load, ReportsABoundedNumberOfMistakes) {
  std::string text = "[pool]\n";
  for (int i = 0; i < 500; ++i) text += "nothing" + std::to_string(i) + " = 1\n";
  const auto loaded = load_text(text, "p.toml");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error(), SizeIs(101));
  EXPECT_EQ(loaded.error().back().message, "and 400 more mistakes");
}

}  // namespace
}  // namespace penstock::config
