#include "config/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace penstock::config {
namespace {

TEST(Table, HasEachNameAndEachVariableOnce) {
  std::set<std::string> names, variables;
  for (const auto& entry : settings_table()) {
    EXPECT_TRUE(names.insert(entry.name()).second) << entry.name();
    EXPECT_TRUE(variables.insert(entry.environment_name()).second) << entry.environment_name();
  }
}

TEST(Table, PutsEveryEntryIntoAKnownSectionAndDocumentsIt) {
  for (const auto& entry : settings_table()) {
    EXPECT_TRUE(std::ranges::count(sections(), entry.section, &Section::name) == 1) << entry.name();
    EXPECT_TRUE(entry.doc.ends_with('.')) << entry.name();
    EXPECT_EQ(entry.doc.find("  "), std::string_view::npos) << entry.name();
  }
}

TEST(Table, AllowsItsOwnDefaults) {
  const Settings defaults;
  for (const auto& entry : settings_table()) {
    const auto checked = check_value(entry.allowed, entry.get(defaults));
    EXPECT_TRUE(checked) << entry.name() << ": " << checked.error().to_string();
  }
  for (const auto& entry : listener_table()) {
    EXPECT_TRUE(check_value(entry.allowed, entry.get(ListenerSettings{}))) << entry.key;
  }
}

TEST(Table, ReadsBackWhatItSets) {
  Settings settings;
  for (const auto& entry : settings_table()) entry.set(settings, entry.get(settings));
  EXPECT_EQ(settings, Settings{});
  find_setting("pool.mode")->set(settings, std::string("session"));
  EXPECT_EQ(settings.pool_mode, model::PoolMode::kSession);
  find_setting("timeouts.query")->set(settings, std::int64_t{1500});
  EXPECT_EQ(settings.query_timeout, std::chrono::milliseconds(1500));
}

TEST(Table, TiesEveryEntryToAMemberOfItsOwn) {
  for (const auto& entry : settings_table()) {
    Settings settings;
    const Value before = entry.get(settings);
    Value other = before;
    if (auto* flag = std::get_if<bool>(&other)) *flag = !*flag;
    if (auto* number = std::get_if<std::int64_t>(&other)) *number = (*number == 5000 ? 6000 : 5000);
    if (auto* items = std::get_if<std::vector<std::string>>(&other)) items->push_back("x");
    if (auto* text = std::get_if<std::string>(&other)) {
      *text = entry.allowed.words.empty() ? "x" : std::string(entry.allowed.words.back());
      if (Value(*text) == before) *text = std::string(entry.allowed.words.front());
    }
    entry.set(settings, other);
    EXPECT_EQ(entry.get(settings), other) << entry.name();
    int changed = 0;
    for (const auto& each : settings_table()) changed += each.get(settings) == each.get(Settings{}) ? 0 : 1;
    EXPECT_EQ(changed, 1) << entry.name() << " shares a member";
  }
}

TEST(Table, NamesVariablesAfterSectionAndKey) {
  EXPECT_EQ(find_setting("client_tls.cert_file")->environment_name(), "PENSTOCK_CLIENT_TLS_CERT_FILE");
  EXPECT_EQ(find_setting("pool.size")->environment_name(), "PENSTOCK_POOL_SIZE");
}

}  // namespace
}  // namespace penstock::config
