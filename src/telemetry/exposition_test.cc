#include "telemetry/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
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
  CoarseHistogram snapshot;
  snapshot.add(histogram);
  snapshot.add(histogram);  // of another worker
  Exposition out(Exposition::Form::kPrometheus);
  out.begin(Metric::kQueryTime);
  const Label labels[] = {{"tenant", "t\"1"}};
  out.histogram(LabelText(labels), snapshot);
  const std::string text = out.finish();
  EXPECT_THAT(text, EndsWith(R"(
penstock_query_duration_seconds_bucket{tenant="t\"1",le="5e-05"} 2
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.0002"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.0008"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.0032"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.0128"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.0512"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.2048"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="0.8192"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="3.2768"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="13.1072"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="52.4288"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="209.7152"} 4
penstock_query_duration_seconds_bucket{tenant="t\"1",le="+Inf"} 6
penstock_query_duration_seconds_sum{tenant="t\"1"} 7200.00032
penstock_query_duration_seconds_count{tenant="t\"1"} 6
# EOF
)"));
}

TEST(Exposition, IsTakenInPartsThatMakeTheWhole) {
  const auto write = [](bool in_parts) {
    Exposition out(Exposition::Form::kPrometheus);
    std::string text;
    out.begin(Metric::kClients);
    const Label labels[] = {{"tenant", "t"}, {"user", "u"}};
    const LabelText shared(labels);
    for (const char* state : {"idle", "active"}) {
      out.sample(shared, {"state", state}, std::uint64_t{18'446'744'073'709'551'615U});
      EXPECT_GT(out.size(), 0U);
      if (in_parts) text += out.take();
    }
    out.begin(Metric::kStartTime);
    out.sample({}, 1.5);
    out.begin(Metric::kTenants);
    out.sample(LabelText({}), Label{"state", "x"}, std::uint64_t{0});
    return text + out.finish();
  };
  EXPECT_EQ(write(true), write(false));
  EXPECT_THAT(write(true),
              HasSubstr("penstock_clients{tenant=\"t\",user=\"u\",state=\"idle\"} 18446744073709551615\n"
                        "penstock_clients{tenant=\"t\",user=\"u\",state=\"active\"} 18446744073709551615\n"
                        "# HELP process_start_time_seconds"));
  EXPECT_THAT(write(true), HasSubstr("process_start_time_seconds 1.5\n"));
  EXPECT_THAT(write(true), EndsWith("penstock_tenants{state=\"x\"} 0\n# EOF\n"));
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

void walk(PoolCounterTable& table, const std::function<void(const PoolLabels&, const PoolCounters&)>& visit,
          PoolCounterTable::Clock::time_point now = PoolCounterTable::Clock::now()) {
  PoolCounterTable::Walk all(table);
  while (all.step(visit, now)) {
  }
}

TEST(PoolCounterTable, BoundsTheNumberOfSeries) {
  PoolCounterTable table(2);
  const auto a = table.find_or_make({"a", "u", "d"}, 0);
  EXPECT_EQ(table.find_or_make({"a", "u", "d"}, 0), a);
  const auto b = table.find_or_make({"b", "u", "d"}, 0);
  EXPECT_EQ(table.find_or_make({"c", "u", "d"}, 0), nullptr);
  EXPECT_EQ(table.find_or_make({"d", "u", "d"}, 0), nullptr);
  EXPECT_EQ(table.others_of("c", 0), table.others_of("d", 0));
  EXPECT_EQ(table.overflow(), 2U);
  std::vector<std::string> tenants;
  walk(table, [&](const PoolLabels& labels, const PoolCounters&) { tenants.push_back(labels.tenant); });
  EXPECT_EQ(tenants, (std::vector<std::string>{"_other", "a", "b"}));
}

TEST(PoolCounterTable, ATenantLeavesRoomForTheOthers) {
  PoolCounterTable table(8);
  for (int i = 0; i < 60; ++i) {
    if (table.find_or_make({"many", "u", "d" + std::to_string(i)}, 0) == nullptr) table.others_of("many", 0);
  }
  table.find_or_make({"few", "u", "d"}, 0);
  table.find_or_make({"late", "u", "d"}, 1);
  std::map<std::string, int> seen;
  const auto note = [&](const PoolLabels& labels, const PoolCounters&) {
    ++seen[labels.user == "_other" ? labels.tenant + " _other" : labels.tenant];
  };
  walk(table, note);
  EXPECT_EQ(seen, (std::map<std::string, int>{{"few", 1}, {"late", 1}, {"many", 4}, {"many _other", 1}}));
  EXPECT_EQ(table.overflow(), 56U);
  // What is forgotten makes room.
  walk(table, note, PoolCounterTable::Clock::now() + 2 * PoolCounterTable::kKept);
  const auto alone = table.find_or_make({"many", "u", "d59"}, 0);
  EXPECT_EQ(table.find({"many", "u", "d59"}, 0), alone);
  EXPECT_EQ(table.find({"many", "u", "d58"}, 0), nullptr);
}

TEST(PoolCounterTable, TellsOfThousandsInOrderAndLetsOthersComeMeanwhile) {
  PoolCounterTable table(100'000);
  constexpr int kPools = 2000;
  for (int i = 0; i < kPools; ++i) table.find_or_make({"t" + std::to_string(i), "app", "app"}, i % 2);
  std::vector<std::string> tenants;
  walk(table, [&](const PoolLabels& labels, const PoolCounters&) {
    tenants.push_back(labels.tenant);
    // As a worker does that gets its first client of a pool; it must not have to wait for the end.
    if (tenants.size() == 1) table.find_or_make({"a", "app", "app"}, 0);
    if (tenants.size() == 1) table.find_or_make({"z", "app", "app"}, 0);
  });
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
    walk(table, [&](const PoolLabels&, const PoolCounters&) { ++seen; }, now);
    return seen;
  };
  EXPECT_EQ(count(PoolCounterTable::Clock::now()), 2);
  EXPECT_EQ(count(PoolCounterTable::Clock::now() + 2 * PoolCounterTable::kKept), 1);
}

TEST(PoolCounterTable, ForgetsNothingOfAPoolThatAnotherWorkerStillHas) {
  PoolCounterTable table(10);
  table.find_or_make({"t", "u", "d"}, 0)->counts[PoolCount::kQueries].add(3);
  const auto living = table.find_or_make({"t", "u", "d"}, 1);
  living->counts[PoolCount::kQueries].add(4);
  const auto queries = [&](PoolCounterTable::Clock::time_point now) {
    std::uint64_t sum = 0;
    const auto add = [&](const PoolLabels&, const PoolCounters& counters) {
      sum += counters.counts[PoolCount::kQueries].read();
    };
    walk(table, add, now);
    return sum;
  };
  const auto now = PoolCounterTable::Clock::now();
  EXPECT_EQ(queries(now), 7U);
  EXPECT_EQ(queries(now + 2 * PoolCounterTable::kKept), 7U) << "a counter never goes down";
}

TEST(PoolCounters, KnowTheClassesOfErrors) {
  EXPECT_EQ(error_class_word(error_class_of("23505")), "23");
  EXPECT_EQ(error_class_word(error_class_of("XX000")), "XX");
  EXPECT_EQ(error_class_word(error_class_of("QQ123")), "other");
  EXPECT_EQ(error_class_word(error_class_of("")), "other");
}

}  // namespace
}  // namespace penstock::telemetry
