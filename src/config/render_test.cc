#include "config/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace penstock::config {
namespace {

using testing::HasSubstr;

TEST(Render, PrintsAFileThatLoadsToTheSameSettings) {
  auto loaded =
      load({.overrides = {"pool.size=33", "pool.reset_query=SELECT \"a\\b\"\n;", "timeouts.query=90s",
                          "pool.ignore_startup_parameters=a,b", "limits.message_bytes_max=12345",
                          "listeners=*:1,/run/x:2?unix_mode=0700&mode=session,[::1]:3"}});
  ASSERT_TRUE(loaded) << loaded.error().front().to_string();
  const auto again = load_text(render_effective(*loaded), "again.toml");
  ASSERT_TRUE(again) << again.error().front().to_string() << render_effective(*loaded);
  EXPECT_EQ(again->settings, loaded->settings);
}

TEST(Render, SaysWhereEachValueComesFrom) {
  const auto loaded = load({.environment = {{"PENSTOCK_POOL_SIZE", "33"}}});
  const std::string text = render_effective(*loaded);
  EXPECT_THAT(text, testing::ContainsRegex("size = 33 +# \"PENSTOCK_POOL_SIZE\""));
  EXPECT_THAT(text, testing::ContainsRegex("min_size = 0 +# \"default\""));
}

TEST(Render, ListsWhatAReloadChangesAndWhatNeedsARestart) {
  Settings after;
  after.pool_size = 21;
  after.workers = 2;
  after.query_timeout = std::chrono::seconds(30);
  after.listeners.push_back({.address = "::1"});
  const auto changes = diff(Settings{}, after);
  ASSERT_EQ(changes.size(), 4u);
  EXPECT_EQ(changes[0].name, "server.workers");
  EXPECT_TRUE(changes[0].needs_restart);
  EXPECT_EQ(changes[1].name, "pool.size");
  EXPECT_EQ(changes[1].before, "20");
  EXPECT_EQ(changes[1].after, "21");
  EXPECT_FALSE(changes[1].needs_restart);
  EXPECT_EQ(changes[2].after, "30s");
  EXPECT_EQ(changes[3].after, "127.0.0.1:6432,[::1]:6432");
  EXPECT_TRUE(diff(after, after).empty());
}

// Set PENSTOCK_TEST_WRITE=1 to write the page instead.
TEST(Render, KeepsTheManualPageUpToDate) {
  const auto page = std::filesystem::path(__FILE__).parent_path() / "../../docs/manual/configuration.md";
  if (std::getenv("PENSTOCK_TEST_WRITE") != nullptr) std::ofstream(page) << render_manual();
  std::stringstream text;
  text << std::ifstream(page).rdbuf();
  EXPECT_EQ(text.str(), render_manual()) << "run this test with PENSTOCK_TEST_WRITE=1 and commit " << page;
}

TEST(Render, LeavesThePasswordOfAUrlOut) {
  EXPECT_EQ(without_password("postgres://u:pw@h:5/d"), "postgres://u:***@h:5/d");
  EXPECT_EQ(without_password("postgres://u:p@w:x@h/d?a=b@c"), "postgres://u:***@h/d?a=b@c");
  EXPECT_EQ(without_password("postgres://h/d?user=u&password=pw&a=b"),
            "postgres://h/d?user=u&password=***&a=b");
  EXPECT_EQ(without_password("postgres://u@h:5432/d"), "postgres://u@h:5432/d");
  EXPECT_EQ(without_password("/var/lib/penstock.db"), "/var/lib/penstock.db");
  Settings settings;
  settings.catalog = "postgres://u:pw@h:5/d";
  EXPECT_EQ(shown_value(*find_setting("server.catalog"), settings), "\"postgres://u:***@h:5/d\"");
}

}  // namespace
}  // namespace penstock::config
