#include "sql/query_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/deep_thread.h"

namespace penstock::sql {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(QueryForm, HasNoConstants) {
  EXPECT_EQ(form_of("SELECT name FROM users WHERE id = 4711 AND mail = 'a@example.com'").text,
            "SELECT name FROM users WHERE id = $1 AND mail = $2");
  EXPECT_EQ(form_of("select 1,\n   2.5").text, "select $1, $2");
  EXPECT_EQ(
      form_of("INSERT INTO t VALUES (1, E'x\\'y', $$dollar$$, B'01', X'ff', NULL, true)").text.find("dollar"),
      std::string::npos);
  EXPECT_EQ(form_of("SELECT * FROM t WHERE a = $1").text, "SELECT * FROM t WHERE a = $1");
}

TEST(QueryForm, HasNoSecretsOfUtilityStatementsAndNoComments) {
  for (const char* query :
       {"ALTER ROLE app PASSWORD 'hidden'", "CREATE USER app WITH ENCRYPTED PASSWORD 'hidden'",
        "SET app.key = 'hidden'", "NOTIFY channel, 'hidden'", "COMMENT ON TABLE t IS 'hidden'",
        "CREATE SUBSCRIPTION s CONNECTION 'password=hidden' PUBLICATION p",
        "DO $$ begin perform 'hidden'; end $$", "COPY t FROM PROGRAM 'hidden'",
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (password 'hidden')", "EXECUTE p('hidden', 5)",
        "DECLARE c CURSOR FOR SELECT 'hidden'", "EXPLAIN SELECT 'hidden'", "PREPARE p AS SELECT 'hidden'",
        "SELECT 1 /* user='hidden' */", "SELECT 1 -- hidden", "SELECT 'hidden' FROM no valid sql !!",
        "SELECT U&'hidden'", "VACUUM t; SELECT 'hidden'"}) {
    const QueryForm form = form_of(query);
    EXPECT_THAT(form.text, Not(HasSubstr("hidden"))) << query;
    EXPECT_NE(form.text, "") << query;
  }
}

TEST(QueryForm, EndsWhereAStringMayGoOn) {
  // With standard_conforming_strings off all of these are whole strings for the server.
  for (const char* query :
       {R"(SELECT pg_sleep(1), 'it\'s hidden', 'more\'s hidden')", R"(SELECT 'x\' || hidden -- ')",
        R"(SELECT 'a\\\' hidden', 'b\' hidden')", R"(SELECT 'it''s\' hidden', '\' hidden')",
        "SELECT 'one'\n'two\\' hidden', 'x\\' hidden'", "SELECT N'it\\'s hidden', 'more\\'s hidden'",
        // In SJIS 0x95 0x5C is one character.
        "SELECT E'\x95\\', E' hidden' -- '"}) {
    const QueryForm form = form_of(query);
    EXPECT_THAT(form.text, Not(HasSubstr("hidden"))) << query;
    EXPECT_THAT(form.text, StartsWith("SELECT ")) << query;
    EXPECT_THAT(form.text, EndsWith("? …")) << query;
  }
  EXPECT_EQ(form_of(R"(SELECT a FROM t WHERE b LIKE '\_%' AND c ~ E'\'\d' AND d = 'x\\')").text,
            "SELECT a FROM t WHERE b LIKE $1 AND c ~ $2 AND d = $3")
      << "these end there for every session";
}

TEST(QueryForm, IsTheSameForQueriesThatDifferInConstants) {
  const QueryForm one = form_of("SELECT a FROM t WHERE b IN (1, 2, 3)");
  EXPECT_EQ(one.fingerprint, form_of("select a from t where b in (4, 5)").fingerprint);
  EXPECT_NE(one.fingerprint, form_of("SELECT a FROM u WHERE b IN (1, 2, 3)").fingerprint);
  EXPECT_EQ(one.fingerprint.size(), 16u);
}

TEST(QueryForm, OfWhatIsNoSqlIsEmptyOrHasNoFingerprint) {
  EXPECT_EQ(form_of("SELECT 'no end"), QueryForm{});
  EXPECT_EQ(form_of("/* no end"), QueryForm{});
  EXPECT_EQ(form_of("frobnicate the widget 5"), (QueryForm{.text = "frobnicate the widget ?"}));
  EXPECT_EQ(form_of("").text, "");
  const std::string large = "SELECT " + std::string(2 * kQueryBytesMax, '1');
  EXPECT_EQ(form_of(large), (QueryForm{.text = "SELECT ?"}));
}

TEST(QueryForm, OfTheDeepestQueriesFitsItsStack) {
  const auto repeated = [](std::string_view unit, std::string_view end) {
    std::string query = "SELECT ";
    while (query.size() + unit.size() + end.size() <= kQueryBytesMax) query += unit;
    return query += end;
  };
  const auto thread = base::DeepThread::start(kQueryFormStack, "deep", [&] {
    for (const std::string& query :
         {repeated("1+", "1"), repeated("a.", "b"), repeated("- ", "1"), repeated("NOT ", "true"),
          repeated("(", "1"), repeated("1 UNION SELECT ", "1"), repeated("CASE WHEN ", "1"),
          repeated("f(", "1"), repeated("ARRAY[", "1"), repeated("1::int", ""), repeated("a[1]", ""),
          repeated("1 OR ", "1"), repeated("1 IN (SELECT ", "1")}) {
      const QueryForm form = form_of(query);
      EXPECT_EQ(form.text.find('1'),
                form.text.find("$1") == std::string::npos ? std::string::npos : form.text.find("$1") + 1);
    }
  });
  ASSERT_NE(thread, nullptr);
}

}  // namespace
}  // namespace penstock::sql
