#include "telemetry/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "telemetry/pool_counters.h"

namespace penstock::telemetry {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(Exposition, WritesTheTextFormat) {
  Exposition out(Exposition::Form::kPrometheus);
  out.begin(Metric::kQueries);
  const Label labels[] = {{"tenant", "a\"b\\c\nd"}, {"user", "u"}};
  out.sample(labels, std::uint64_t{7});
  const std::string text = out.finish();
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_queries_total counter\n"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_queries_total{tenant="a\"b\\c\nd",user="u"} 7)"
                              "\n"));
}

TEST(Exposition, WritesOpenMetrics) {
  Exposition out(Exposition::Form::kOpenMetrics);
  out.begin(Metric::kQueries);
  out.sample({}, std::uint64_t{7});
  out.begin(Metric::kBuild);
  const Label version[] = {{"version", "1"}};
  out.sample(version, std::uint64_t{1});
  const std::string text = out.finish();
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_queries counter\n"));
  EXPECT_THAT(text, HasSubstr("penstock_queries_total 7\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_build info\n"));
  EXPECT_THAT(text, HasSubstr("penstock_build_info{version=\"1\"} 1\n"));
  EXPECT_THAT(text, EndsWith("# EOF\n"));
}

TEST(Exposition, HistogramsAreCumulativeAndBeginAt50Microseconds) {
  Histogram histogram;
  histogram.record(std::chrono::microseconds(10));
  histogram.record(std::chrono::microseconds(150));
  histogram.record(std::chrono::hours(1));
  HistogramSnapshot snapshot;
  snapshot.add(histogram);
  Exposition out(Exposition::Form::kPrometheus);
  out.begin(Metric::kQueryTime);
  out.histogram({}, snapshot);
  const std::string text = out.finish();
  EXPECT_THAT(text, HasSubstr("penstock_query_duration_seconds_bucket{le=\"5e-05\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("penstock_query_duration_seconds_bucket{le=\"0.0002\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("penstock_query_duration_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("penstock_query_duration_seconds_count 3\n"));
}

TEST(MetricTable, KeepsPrometheusRules) {
  std::set<std::string_view> names;
  for (const MetricRow& row : metric_table()) {
    EXPECT_EQ(&row_of(row.metric), &row);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(row.name.ends_with("_total"), row.kind == MetricKind::kCounter) << row.name;
  }
}

// Set PENSTOCK_TEST_WRITE=1 to write the page instead.
TEST(MetricTable, KeepsTheManualPageUpToDate) {
  const auto file = std::filesystem::path(__FILE__).parent_path() / "../../docs/manual/metrics.md";
  std::stringstream page;
  page << std::ifstream(file).rdbuf();
  const std::string old = page.str();
  constexpr std::string_view kBegin = "<!-- begin: metrics -->", kEnd = "<!-- end: metrics -->";
  const std::size_t begin = old.find(kBegin), end = old.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::string fresh = old.substr(0, begin + kBegin.size()) + metrics_for_manual() + old.substr(end);
  if (std::getenv("PENSTOCK_TEST_WRITE") != nullptr) {
    std::ofstream(file) << fresh;
  } else {
    EXPECT_EQ(old, fresh) << "run this test with PENSTOCK_TEST_WRITE=1 and commit " << file;
  }
}

TEST(PoolCounterTable, BoundsTheNumberOfSeries) {
  PoolCounterTable table(2);
  const auto a = table.find_or_make({"a", "u", "d"}, 0);
  EXPECT_EQ(table.find_or_make({"a", "u", "d"}, 0), a);
  const auto b = table.find_or_make({"b", "u", "d"}, 0);
  const auto c = table.find_or_make({"c", "u", "d"}, 0), d = table.find_or_make({"d", "u", "d"}, 0);
  EXPECT_EQ(c, d);
  EXPECT_EQ(table.overflow(), 2U);
  std::vector<std::string> tenants;
  table.for_each([&](const PoolLabels& labels, const PoolCounters&) { tenants.push_back(labels.tenant); },
                 PoolCounterTable::Clock::now());
  EXPECT_EQ(tenants, (std::vector<std::string>{"_other", "a", "b"}));
}

TEST(PoolCounterTable, TellsOfThousandsInOrderAndLetsOthersComeMeanwhile) {
  PoolCounterTable table(100'000);
  constexpr int kPools = 2000;
  for (int i = 0; i < kPools; ++i) table.find_or_make({"t" + std::to_string(i), "app", "app"}, i % 2);
  std::vector<std::string> tenants;
  table.for_each(
      [&](const PoolLabels& labels, const PoolCounters&) {
        tenants.push_back(labels.tenant);
        // As a worker does that gets its first client of a pool; it must not have to wait for the end.
        if (tenants.size() == 1) table.find_or_make({"a", "app", "app"}, 0);
        if (tenants.size() == 1) table.find_or_make({"z", "app", "app"}, 0);
      },
      PoolCounterTable::Clock::now());
  EXPECT_TRUE(std::ranges::is_sorted(tenants));
  EXPECT_EQ(tenants.size(), kPools + 1U);
  EXPECT_EQ(tenants.back(), "z");
}

TEST(PoolCounterTable, ForgetsPoolsThatEndedLongAgo) {
  PoolCounterTable table(10);
  auto living = table.find_or_make({"living", "u", "d"}, 0);
  table.find_or_make({"gone", "u", "d"}, 0)->counts[PoolCount::kQueries].add(3);
  const auto count = [&](PoolCounterTable::Clock::time_point now) {
    int seen = 0;
    table.for_each([&](const PoolLabels&, const PoolCounters&) { ++seen; }, now);
    return seen;
  };
  EXPECT_EQ(count(PoolCounterTable::Clock::now()), 2);
  EXPECT_EQ(count(PoolCounterTable::Clock::now() + 2 * PoolCounterTable::kKept), 1);
}

TEST(PoolCounters, KnowTheClassesOfErrors) {
  EXPECT_EQ(error_class_word(error_class_of("23505")), "23");
  EXPECT_EQ(error_class_word(error_class_of("XX000")), "XX");
  EXPECT_EQ(error_class_word(error_class_of("QQ123")), "other");
  EXPECT_EQ(error_class_word(error_class_of("")), "other");
}

}  // namespace
}  // namespace penstock::telemetry
