#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pgwire/startup.h"

namespace penstock::pgwire {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

ClientOptions parsed(std::string_view text) {
  auto result = parse_options(text);
  EXPECT_TRUE(result) << text << ": " << (result ? "" : result.error().to_string());
  return result.value_or(ClientOptions{});
}

std::string refused(std::string_view text) {
  const auto result = parse_options(text);
  EXPECT_FALSE(result) << text;
  if (result) return {};
  EXPECT_EQ(result.error().sqlstate.view(), "42601");
  return result.error().message;
}

TEST(Options, KnowsThreeSpellingsOfASetting) {
  EXPECT_THAT(parsed("-c geqo=off -cwork_mem=4MB --search_path=a,b").settings,
              ElementsAre(Pair("geqo", "off"), Pair("work_mem", "4MB"), Pair("search_path", "a,b")));
}

TEST(Options, TurnsDashesInNamesOnlyIntoUnderscores) {
  EXPECT_THAT(parsed("--statement-timeout=5-6 -c lock-timeout=-1").settings,
              ElementsAre(Pair("statement_timeout", "5-6"), Pair("lock_timeout", "-1")));
}

TEST(Options, LetsABackslashKeepSpacesAndBackslashes) {
  EXPECT_THAT(parsed(R"(-c search_path=a,\ b\\c --x=\t)").settings,
              ElementsAre(Pair("search_path", R"(a, b\c)"), Pair("x", "t")));
  EXPECT_THAT(parsed("-c a=b\\").settings, ElementsAre(Pair("a", "b")));
}

TEST(Options, TakesAnyWhiteSpaceAndAnyNumberOfIt) {
  EXPECT_THAT(parsed("").settings, IsEmpty());
  EXPECT_THAT(parsed(" \t\n").settings, IsEmpty());
  EXPECT_THAT(parsed("  -c\n a=1\t\v-c  b=2 ").settings, ElementsAre(Pair("a", "1"), Pair("b", "2")));
}

TEST(Options, KeepsEverythingBehindTheFirstEqualsSign) {
  EXPECT_THAT(parsed("-c a=b=c --d=").settings, ElementsAre(Pair("a", "b=c"), Pair("d", "")));
}

TEST(Options, TakesTheTenantsReferenceOutInEachSpelling) {
  for (const char* text : {"reference=acme", "-c reference=acme", "-creference=acme", "--reference=acme"}) {
    const auto options = parsed(text);
    EXPECT_EQ(options.reference, "acme") << text;
    EXPECT_THAT(options.settings, IsEmpty());
  }
  const auto mixed = parsed("-c a=1 reference=acme -c b=2");
  EXPECT_EQ(mixed.reference, "acme");
  EXPECT_THAT(mixed.settings, ElementsAre(Pair("a", "1"), Pair("b", "2")));
  EXPECT_EQ(parsed("-c a=1").reference, std::nullopt);
}

TEST(Options, KnowsTheSwitchesThatPostgresTakesFromAClient) {
  EXPECT_THAT(
      parsed("-S 1000 -e -s -F -O -B16").settings,
      ElementsAre(Pair("work_mem", "1000"), Pair("datestyle", "euro"), Pair("log_statement_stats", "on"),
                  Pair("fsync", "off"), Pair("allow_system_table_mods", "on"), Pair("shared_buffers", "16")));
  EXPECT_THAT(parsed("-fs -f m -tpa -t pl -te").settings,
              ElementsAre(Pair("enable_seqscan", "off"), Pair("enable_mergejoin", "off"),
                          Pair("log_parser_stats", "on"), Pair("log_planner_stats", "on"),
                          Pair("log_executor_stats", "on")));
  EXPECT_THAT(parsed("-d 2 -d0").settings,
              ElementsAre(Pair("log_min_messages", "debug2"), Pair("log_statement", "all"),
                          Pair("log_min_messages", "notice")));
  EXPECT_THAT(parsed("-eS 1000 -sc a=1").settings,
              ElementsAre(Pair("datestyle", "euro"), Pair("work_mem", "1000"),
                          Pair("log_statement_stats", "on"), Pair("a", "1")))
      << "letters may stand together";
  EXPECT_THAT(parsed("-E -n -D /data -r file -v 3").settings, IsEmpty()) << "they say nothing to a server";
}

TEST(Options, RefusesWhatItDoesNotKnowInTheWordsOfPostgres) {
  EXPECT_EQ(refused("-X"), "invalid command-line argument for server process: -X");
  EXPECT_EQ(refused("-c a=1 stray"), "invalid command-line argument for server process: stray");
  EXPECT_EQ(refused("--"), "invalid command-line argument for server process: --");
  EXPECT_EQ(refused("-c =1"), "invalid command-line argument for server process: -c =1");
  EXPECT_EQ(refused("-c geqo"), "-c geqo requires a value");
  EXPECT_EQ(refused("-cgeqo"), "-c geqo requires a value");
  EXPECT_EQ(refused("--geqo"), "--geqo requires a value");
  EXPECT_EQ(refused("-c a=1 -c"), "-c requires a value");
  EXPECT_EQ(refused("-S"), "-S requires a value");
  EXPECT_EQ(refused("-fx"), "invalid command-line argument for server process: -f x");
  EXPECT_EQ(refused("-t p"), "invalid command-line argument for server process: -t p");
  EXPECT_EQ(refused("-"), "invalid command-line argument for server process: -");
  EXPECT_EQ(refused("-eX"), "invalid command-line argument for server process: -eX");
}

TEST(Options, WritesWhatItReads) {
  const Parameters settings = {{"search_path", "a, b\\c"}, {"x.y", ""}, {"tab", "\t"}};
  EXPECT_EQ(format_options(settings), "-c search_path=a,\\ b\\\\c -c x.y= -c tab=\\\t");
  EXPECT_EQ(parsed(format_options(settings)).settings, settings);
  EXPECT_EQ(format_options({}), "");
}

}  // namespace
}  // namespace penstock::pgwire
