#include "upstream/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::string difference(Settings::Values current, Settings::Values target) {
  SettingsTable table;
  return difference_sql(*table.intern(std::move(current)), *table.intern(std::move(target)));
}

TEST(SettingsTable, EqualSetsAreOneObject) {
  SettingsTable table;
  const auto one = table.intern({{"TimeZone", "UTC"}, {"application_name", "psql"}});
  const auto two = table.intern({{"application_name", "psql"}, {"TimeZone", "UTC"}});
  EXPECT_EQ(one, two);
  EXPECT_NE(one, table.intern({{"TimeZone", "UTC"}}));
  EXPECT_NE(one, table.intern({{"TimeZone", "UTC"}, {"application_name", "psq"}}));
}

TEST(SettingsTable, DoesNotTakeOneNameAndValueForAnother) {
  SettingsTable table;
  EXPECT_NE(table.intern({{"a", "bc"}}), table.intern({{"ab", "c"}}));
  EXPECT_NE(table.intern({{"a", "b"}, {"c", "d"}}), table.intern({{"a", "bcd"}}));
}

TEST(SettingsTable, SortsNamesWithoutRegardToCase) {
  SettingsTable table;
  EXPECT_THAT(table.intern({{"TimeZone", "1"}, {"client_encoding", "2"}, {"DateStyle", "3"}})->values(),
              ElementsAre(Pair("client_encoding", "2"), Pair("DateStyle", "3"), Pair("TimeZone", "1")));
}

TEST(SettingsTable, OfANameGivenTwiceTheLastValueCounts) {
  SettingsTable table;
  // A log-in trigger that sets what the server has already reported.
  const auto set = table.intern({{"application_name", ""}, {"TimeZone", "UTC"}, {"application_name", "new"}});
  EXPECT_THAT(set->values(), ElementsAre(Pair("application_name", "new"), Pair("TimeZone", "UTC")));
  EXPECT_EQ(set, table.intern({{"application_name", "new"}, {"TimeZone", "UTC"}}));
}

TEST(SettingsTable, WithChangesOneValueAndKeepsTheServersSpelling) {
  SettingsTable table;
  const auto base = table.intern({{"TimeZone", "UTC"}});
  const auto changed = table.with(base, "timezone", "Asia/Tokyo");
  EXPECT_THAT(changed->values(), ElementsAre(Pair("TimeZone", "Asia/Tokyo")));
  EXPECT_EQ(table.with(changed, "TIMEZONE", "UTC"), base);
  EXPECT_THAT(*base->find("TimeZone"), "UTC") << "a set never changes";
}

TEST(SettingsTable, WithAddsAndLeavesEqualSetsAlone) {
  SettingsTable table;
  const auto base = table.with(nullptr, "TimeZone", "UTC");
  EXPECT_EQ(base, table.intern({{"TimeZone", "UTC"}}));
  EXPECT_EQ(table.with(base, "timezone", "UTC"), base);
  EXPECT_EQ(table.with(base, "a.b", "1"), table.intern({{"a.b", "1"}, {"TimeZone", "UTC"}}));
}

TEST(SettingsTable, ForgetsSetsThatNobodyUses) {
  SettingsTable table;
  const auto kept = table.intern({{"application_name", "kept"}});
  for (int i = 0; i < 5000; ++i) table.intern({{"application_name", std::to_string(i)}});
  EXPECT_LE(table.size(), 1025U);
  EXPECT_EQ(table.intern({{"application_name", "kept"}}), kept);
}

TEST(Settings, FindsNamesWithoutRegardToCase) {
  SettingsTable table;
  const auto set = table.intern({{"TimeZone", "UTC"}, {"a.B", "x"}});
  ASSERT_NE(set->find("timezone"), nullptr);
  EXPECT_EQ(*set->find("TIMEZONE"), "UTC");
  EXPECT_EQ(*set->find("A.b"), "x");
  EXPECT_EQ(set->find("TimeZon"), nullptr);
  EXPECT_EQ(set->find("TimeZones"), nullptr);
}

TEST(Settings, KnowsWhatNobodyCanSet) {
  for (const char* name : {"server_version", "SERVER_ENCODING", "is_superuser", "in_hot_standby"}) {
    EXPECT_TRUE(is_read_only(name)) << name;
  }
  EXPECT_FALSE(is_read_only("client_encoding"));
  EXPECT_FALSE(is_read_only("server_version_num"));
}

struct Difference {
  const char* why;
  Settings::Values current;
  Settings::Values target;
  const char* sql;
};

TEST(DifferenceSql, SaysWhatTurnsOneSessionIntoAnother) {
  const std::vector<Difference> cases = {
      {"equal sets", {{"TimeZone", "UTC"}}, {{"TimeZone", "UTC"}}, ""},
      {"nothing at all", {}, {}, ""},
      {"a name spelled in another way", {{"TimeZone", "UTC"}}, {{"timezone", "UTC"}}, ""},
      {"a value", {{"TimeZone", "UTC"}}, {{"TimeZone", "Asia/Tokyo"}}, "SET \"TimeZone\" TO 'Asia/Tokyo';"},
      {"an empty value",
       {{"application_name", "x"}},
       {{"application_name", ""}},
       "SET \"application_name\" TO '';"},
      {"a new name", {}, {{"role", "app"}}, "SET \"role\" TO 'app';"},
      {"a name that is no more", {{"role", "app"}}, {}, "RESET \"role\";"},
      {"some of each, in order",
       {{"a.x", "1"}, {"c.x", "1"}, {"d.x", "1"}},
       {{"b.x", "2"}, {"c.x", "2"}, {"d.x", "1"}, {"e.x", "2"}},
       "RESET \"a\".\"x\";SET \"b\".\"x\" TO '2';SET \"c\".\"x\" TO '2';SET \"e\".\"x\" TO '2';"},
  };
  for (const auto& [why, current, target, sql] : cases) EXPECT_EQ(difference(current, target), sql) << why;
}

TEST(DifferenceSql, QuotesValuesSoThatTheyCannotEnd) {
  const auto set = [](std::string value) { return difference({}, {{"application_name", std::move(value)}}); };
  EXPECT_EQ(set("it's"), "SET \"application_name\" TO 'it''s';");
  EXPECT_EQ(set("'; DROP TABLE t; --"), "SET \"application_name\" TO '''; DROP TABLE t; --';");
  // A backslash means itself whatever standard_conforming_strings says.
  EXPECT_EQ(set("C:\\x"), "SET \"application_name\" TO E'C:\\\\x';");
  EXPECT_EQ(set("\\'"), "SET \"application_name\" TO E'\\\\''';");
  EXPECT_EQ(set("ISO, MDY"), "SET \"application_name\" TO 'ISO, MDY';");
}

TEST(DifferenceSql, QuotesNamesSoThatTheyCannotEnd) {
  EXPECT_EQ(difference({}, {{"app.user id", "7"}}), "SET \"app\".\"user id\" TO '7';");
  EXPECT_EQ(difference({}, {{"x\" TO 1; --", "7"}}), "SET \"x\"\" TO 1; --\" TO '7';");
  EXPECT_EQ(difference({{"x\"y.z", "7"}}, {}), "RESET \"x\"\"y\".\"z\";");
}

// SET would take the whole text for the name of one schema.
TEST(DifferenceSql, KeepsTheElementsOfListsApart) {
  EXPECT_EQ(difference({{"search_path", "public"}}, {{"search_path", "\"$user\", public"}}),
            "SELECT pg_catalog.set_config('search_path','\"$user\", public',false);");
  EXPECT_EQ(difference({}, {{"Temp_Tablespaces", "it's, \\"}}),
            "SELECT pg_catalog.set_config('Temp_Tablespaces',E'it''s, \\\\',false);");
  EXPECT_EQ(difference({{"search_path", "a, b"}}, {}), "RESET \"search_path\";");
}

}  // namespace
}  // namespace penstock::upstream
