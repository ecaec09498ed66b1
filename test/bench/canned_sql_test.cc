#include "canned_sql.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace penstock::bench {
namespace {

TEST(CannedSql, ReadsASelectOfEverythingItKnows) {
  const Plan plan = parse_sql(
      "select /* k */ 'a b', $2::text AS x, repeat('ab', 3), repeat($1, 2), current_setting('TimeZone'), 42 "
      "-- end");
  ASSERT_EQ(plan.verb, Verb::kSelect);
  ASSERT_EQ(plan.column_count, 6);
  EXPECT_EQ(plan.parameter_count, 2);
  EXPECT_EQ(plan.columns[0].text, "a b");
  EXPECT_EQ(plan.columns[0].label, "?column?");
  EXPECT_EQ(plan.columns[1].label, "x");
  EXPECT_EQ(plan.columns[1].parameter, 2);
  EXPECT_EQ(plan.columns[2].repeat, 3U);
  EXPECT_EQ(plan.columns[2].text, "ab");
  EXPECT_EQ(plan.columns[3].parameter, 1);
  EXPECT_EQ(plan.columns[4].kind, Expression::Kind::kSetting);
  EXPECT_EQ(plan.columns[5].text, "42");
}

TEST(CannedSql, ReadsRowsCopiesAndSleeps) {
  EXPECT_EQ(parse_sql("SELECT 'x' FROM generate_series(1, 500)").rows, 500U);
  const Plan out = parse_sql("COPY (SELECT 'x' FROM generate_series(1,9)) TO STDOUT");
  EXPECT_EQ(out.verb, Verb::kCopyOut);
  EXPECT_EQ(out.rows, 9U);
  EXPECT_EQ(parse_sql("copy sink from stdin").verb, Verb::kCopyIn);
  EXPECT_DOUBLE_EQ(parse_sql("SELECT pg_sleep(0.25)").columns[0].seconds, 0.25);
  EXPECT_EQ(parse_sql("SELECT 1/0").columns[0].kind, Expression::Kind::kDivision);
  EXPECT_EQ(parse_sql("SELECT pg_terminate_backend(17)").columns[0].kind, Expression::Kind::kTerminate);
}

TEST(CannedSql, ReadsSettings) {
  const Plan set = parse_sql("SET application_name = 'till 1'");
  EXPECT_EQ(set.verb, Verb::kSet);
  EXPECT_EQ(set.name, "application_name");
  EXPECT_EQ(set.value, "till 1");
  EXPECT_EQ(parse_sql("SET TimeZone TO UTC").value, "UTC");
  EXPECT_EQ(parse_sql("SET TIME ZONE 'UTC'").name, "TimeZone");
  EXPECT_EQ(parse_sql("RESET ALL").name, "");
  EXPECT_EQ(parse_sql("SHOW server_version").name, "server_version");
}

TEST(CannedSql, ReadsSqlLevelPreparedStatements) {
  const Plan prepare = parse_sql("PREPARE p (text) AS SELECT $1");
  EXPECT_EQ(prepare.verb, Verb::kPrepare);
  EXPECT_EQ(prepare.name, "p");
  EXPECT_EQ(prepare.value, "SELECT $1");
  const Plan execute = parse_sql("EXECUTE p('x')");
  EXPECT_EQ(execute.verb, Verb::kExecute);
  EXPECT_EQ(execute.columns[0].text, "x");
  EXPECT_EQ(parse_sql("DEALLOCATE ALL").tag, "DEALLOCATE ALL");
  EXPECT_EQ(parse_sql("DEALLOCATE PREPARE p").name, "p");
}

TEST(CannedSql, NothingIsEmptyAndNonsenseIsUnknown) {
  EXPECT_EQ(parse_sql("  -- nothing").verb, Verb::kEmpty);
  for (const std::string_view text : {"FROB", "SELECT", "SELECT f(1)", "SELECT 'open", "SET x", "COPY (x"}) {
    EXPECT_EQ(parse_sql(text).verb, Verb::kUnknown) << text;
  }
}

TEST(CannedSql, SplitsStatementsOutsideQuotes) {
  std::string_view sql = "SET a='x;y';SELECT 1;";
  EXPECT_EQ(take_statement(sql), "SET a='x;y'");
  EXPECT_EQ(take_statement(sql), "SELECT 1");
  EXPECT_TRUE(sql.empty());
}

}  // namespace
}  // namespace penstock::bench
