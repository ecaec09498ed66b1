#include "cli/top_view.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/metrics_text.h"

namespace penstock::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;
using Key = TopView::Key;

std::string pool_metrics(const std::string& labels, int queries, int waiting) {
  return fmt::format(
      "penstock_clients{{{0},state=\"idle\"}} 3\n"
      "penstock_clients{{{0},state=\"active\"}} 2\n"
      "penstock_clients_waiting{{{0}}} {2}\n"
      "penstock_clients_longest_wait_seconds{{{0}}} {2}.5\n"
      "penstock_servers{{{0},state=\"active\"}} 2\n"
      "penstock_servers{{{0},state=\"idle\"}} 1\n"
      "penstock_pool_size{{{0}}} 20\n"
      "penstock_queries_total{{{0}}} {1}\n"
      "penstock_query_duration_seconds_bucket{{{0},le=\"0.0002\"}} 0\n"
      "penstock_query_duration_seconds_bucket{{{0},le=\"0.0008\"}} {1}\n"
      "penstock_query_duration_seconds_bucket{{{0},le=\"+Inf\"}} {1}\n"
      "penstock_query_duration_seconds_sum{{{0}}} {3}\n",
      labels, queries, waiting, queries * 0.0005);
}

TopSample sample(int second, int queries, int waiting = 0) {
  TopSample found = sample_of(
      "# HELP penstock_build_info The version that runs.\n"
      "penstock_build_info{version=\"1.2.3\"} 1\n"
      "penstock_ready 1\n" +
      pool_metrics("tenant=\"acme\",user=\"app\",database=\"shop\"", queries, 0) +
      pool_metrics("tenant=\"acme\",user=\"report\",database=\"shop\"", queries / 10, waiting) +
      pool_metrics("tenant=\"q\\\"x\\\\\\n\",user=\"u\",database=\"d\"", 0, 0));
  found.at = std::chrono::steady_clock::time_point() + std::chrono::seconds(second);
  return found;
}

std::string text_of(TopView& view, TopView::Size size = {.width = 200, .height = 30}) {
  std::string text;
  for (const std::string& line : view.draw(size, false)) text += line + "\n";
  return text;
}

TEST(TopView, TellsThatTheCatalogFails) {
  TopView view;
  view.show(sample(0, 0));
  EXPECT_THAT(text_of(view), Not(HasSubstr("CATALOG")));
  TopSample failing = sample(1, 0);
  failing.catalog_fails = true;
  view.show(failing);
  EXPECT_THAT(text_of(view), HasSubstr("ready, CATALOG FAILS"));
}

TEST(MetricsText, ReadsLabelsAndValues) {
  std::vector<std::string> seen;
  for_each_sample(
      "# TYPE x counter\nx_total{a=\"1\",b=\"a\\\\b\\\"c\\nd\"} 5\nplain 1.5e3\nbroken{a=\"1\nno\n{} 1\n",
      [&](const MetricSample& sample) {
        seen.push_back(fmt::format("{}|{}|{}", sample.name, sample.label("b"), sample.value));
      });
  EXPECT_THAT(seen, testing::ElementsAre("x_total|a\\b\"c\nd|5", "plain||1500"));
}

TEST(TopView, ShowsWhatHappenedBetweenTwoSamples) {
  TopView view;
  view.show(sample(0, 1000));
  view.show(sample(10, 3000, 4));
  const std::string text = text_of(view);
  EXPECT_THAT(text, HasSubstr("penstock 1.2.3"));
  EXPECT_THAT(text, HasSubstr("4 waiting (longest 4.5s)"));
  EXPECT_THAT(text, testing::ContainsRegex("acme +app +shop +200 +0.50 +0.77 +0"));
  EXPECT_THAT(text, testing::ContainsRegex("acme +report +shop +20 +0.50 +0.77 +4 +4.5s"));
  EXPECT_LT(text.find(" app "), text.find(" report ")) << "by queries per second";
  EXPECT_THAT(text, Not(HasSubstr("q\"x\\\n"))) << "names cannot break the lines";
}

TEST(TopView, SortsFiltersAndGroupsByKeys) {
  TopView view;
  view.show(sample(0, 1000));
  view.show(sample(10, 3000, 4));
  EXPECT_EQ(view.press(Key::kText, 'w'), TopView::Answer::kNone);
  std::string text = text_of(view);
  EXPECT_LT(text.find(" report "), text.find(" app ")) << "by the longest wait";
  view.press(Key::kText, 'r');
  text = text_of(view);
  EXPECT_GT(text.find(" report "), text.find(" app "));

  view.press(Key::kText, '/');
  for (const char c : std::string("REPq")) view.press(Key::kText, c);
  EXPECT_THAT(text_of(view), HasSubstr("filter: REPq_")) << "letters are no commands now";
  view.press(Key::kBackspace);
  view.press(Key::kEnter);
  EXPECT_THAT(text_of(view), AllOf(HasSubstr(" report "), Not(HasSubstr(" app "))));
  view.press(Key::kEscape);
  view.press(Key::kTab);
  text = text_of(view);
  EXPECT_THAT(text, testing::ContainsRegex("acme +220 "));
  EXPECT_THAT(text, Not(HasSubstr("report")));
  EXPECT_EQ(view.press(Key::kText, 'q'), TopView::Answer::kQuit);
  EXPECT_FALSE(view.sort_by("no such column"));
}

TEST(TopView, FitsEveryScreen) {
  TopView view;
  TopSample many;
  for (int i = 0; i < 500; ++i) many.pools[{fmt::format("tenant{:03}", i), "ünïcödé", "d"}].size = 1;
  view.show(many);
  for (std::size_t width = 1; width < 130; width += 7) {
    for (std::size_t height = 1; height < 40; height += 5) {
      const auto lines = view.draw({.width = width, .height = height}, false);
      EXPECT_LE(lines.size(), height);
      for (const std::string& line : lines) {
        const auto characters =
            std::ranges::count_if(line, [](unsigned char c) { return (c & 0xC0) != 0x80; });
        EXPECT_EQ(static_cast<std::size_t>(characters), width);
      }
    }
  }
  (void)view.sort_by("tenant");
  for (int i = 0; i < 1000; ++i) view.press(Key::kPageDown);
  EXPECT_THAT(text_of(view, {.width = 100, .height = 10}), HasSubstr("tenant499"));
  for (int i = 0; i < 1000; ++i) view.press(Key::kUp);
  EXPECT_THAT(text_of(view, {.width = 100, .height = 10}), HasSubstr("tenant000"));
}

TEST(TopView, ShowsSlowQueriesAndTrouble) {
  TopView view;
  TopSample found = sample(0, 1);
  found.slow = slow_lines_of(R"json({"data":[
      {"at":"2026-11-22T10:00:01.000Z","tenant":"acme","user":"app","duration_ms":1500.5,"wait_ms":0,
       "query":"SELECT\npg_sleep($1)"},
      {"query":null},7]})json");
  view.show(found);
  view.press(Key::kText, 's');
  EXPECT_THAT(text_of(view), AllOf(HasSubstr("slow queries, newest first"), Not(HasSubstr("by qps"))));
  EXPECT_THAT(text_of(view), testing::ContainsRegex("10:00:01.000 acme +app +1500 +-  SELECT pg_sleep"));
  view.complain("the server does not answer");
  EXPECT_THAT(text_of(view), AllOf(HasSubstr("the server does not answer"), HasSubstr("pg_sleep")));
  EXPECT_TRUE(slow_lines_of("no json").empty());
}

TEST(TopView, HasNoNegativeRatesAfterARestart) {
  TopView view;
  view.show(sample(0, 5000));
  view.show(sample(10, 10));
  EXPECT_THAT(text_of(view), testing::ContainsRegex("acme +app +shop +0 +- +- "));
}

}  // namespace
}  // namespace penstock::cli
