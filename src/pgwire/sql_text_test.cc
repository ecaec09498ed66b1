#include "pgwire/sql_text.h"

#include <gtest/gtest.h>

namespace penstock::pgwire {
namespace {

using Kind = StatementKind;

struct Case {
  const char* text;
  Kind kind;
  const char* name = "";
};

class SqlText : public ::testing::TestWithParam<Case> {};

TEST_P(SqlText, RecognisesTheStatement) {
  const auto& expected = GetParam();
  for (const char* end : {"", ";", " ; ", ";\n-- done"}) {
    const std::string text = std::string(expected.text) + end;
    const auto found = classify_simple(text);
    EXPECT_EQ(found.kind, expected.kind) << expected.text;
    EXPECT_EQ(found.name, expected.name) << expected.text;
    EXPECT_FALSE(found.multiple()) << expected.text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    PreparedStatements, SqlText,
    ::testing::Values(Case{"DEALLOCATE a1", Kind::kDeallocate, "a1"},
                      Case{"deallocate prepare a1", Kind::kDeallocate, "a1"},
                      Case{"DEALLOCATE ALL", Kind::kDeallocateAll},
                      Case{"DEALLOCATE PREPARE All", Kind::kDeallocateAll},
                      Case{"DEALLOCATE \"all\"", Kind::kDeallocate, "\"all\""},
                      Case{"DEALLOCATE prepare", Kind::kDeallocate, "prepare"},
                      Case{"DEALLOCATE\"x y\"", Kind::kDeallocate, "\"x y\""},
                      Case{"DEALLOCATE PREPARE \"a\"\"b;c\"", Kind::kDeallocate, "\"a\"\"b;c\""},
                      Case{"DEALLOCATE U&\"d\\0061t\"", Kind::kDeallocate, ""},
                      Case{"PREPARE p AS SELECT 1", Kind::kPrepare, "p"},
                      Case{"PREPARE p(int) AS SELECT $1", Kind::kPrepare, "p"},
                      Case{"PREPARE transaction AS SELECT 1", Kind::kPrepare, "transaction"},
                      Case{"PREPARE TRANSACTION 'x'", Kind::kPrepareTransaction},
                      Case{"EXECUTE p(1, ';')", Kind::kExecute, "p"},
                      Case{"execute p", Kind::kExecute, "p"}));

INSTANTIATE_TEST_SUITE_P(
    Temporary, SqlText,
    ::testing::Values(Case{"SELECT 1 AS x INTO TEMP t", Kind::kCreateTemporary},
                      Case{"select 1 into/**/local temporary table t", Kind::kCreateTemporary},
                      Case{"(SELECT 1 INTO TEMP t)", Kind::kCreateTemporary},
                      Case{"WITH a AS (SELECT 1) SELECT * INTO GLOBAL TEMP t FROM a", Kind::kCreateTemporary},
                      Case{"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", Kind::kCreateTemporary},
                      Case{"EXPLAIN (ANALYZE, COSTS off) SELECT 1 INTO TEMP t", Kind::kCreateTemporary},
                      Case{"CREATE TABLE pg_temp.t (a int)", Kind::kCreateTemporary},
                      Case{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                           Kind::kCreateTemporary},
                      Case{"CREATE TABLE \"pg_temp\".t (a int)", Kind::kCreateTemporary},
                      Case{"CREATE TABLE pg_temp_3.t (a int)", Kind::kCreateTemporary},
                      Case{"SELECT 1 INTO \"pg_temp\".t", Kind::kCreateTemporary},
                      Case{"CREATE TABLE U&\"pg_temp\".t (a int)", Kind::kCreateTemporary},
                      Case{"CREATE TABLE u&\"pg\\005ftem\\0070\".t (a int)", Kind::kCreateTemporary},
                      Case{"CREATE TABLE U&\"pg_tem!0070\" UESCAPE '!'.t (a int)", Kind::kCreateTemporary},
                      Case{"SELECT U&\"abc\", a&\"b\\c\" FROM t", Kind::kOther},
                      Case{"SELECT U&'d!0061' UESCAPE '!' AS temp", Kind::kOther},
                      Case{"SELECT U&'pg\\005ftemp', 'pg_temp', '\"pg_temp\"'", Kind::kOther},
                      Case{"SELECT 1 AS \"temp\" INTO \"temp\"", Kind::kOther},
                      Case{"SELECT \"pg_tem\", \"a pg_temp\" FROM \"xpg_temp\"", Kind::kOther},
                      Case{"CREATE TABLE templates (temp int)", Kind::kOther},
                      Case{"SELECT 1 INTO t", Kind::kOther}, Case{"SELECT 'into temp t'", Kind::kOther},
                      Case{"SELECT temp INTO temporary_t FROM a", Kind::kOther},
                      Case{"INSERT INTO temp VALUES (1)", Kind::kOther},
                      Case{"WITH a AS (INSERT INTO temp VALUES (1)) SELECT 1", Kind::kOther},
                      Case{"EXPLAIN SELECT temp FROM t", Kind::kOther}));

INSTANTIATE_TEST_SUITE_P(
    Settings, SqlText,
    ::testing::Values(
        Case{"SET a = 1", Kind::kSet, "a"}, Case{"SET a TO 'x;y'", Kind::kSet, "a"},
        Case{"set Session a=1", Kind::kSet, "a"}, Case{"SET my.app = 1", Kind::kSet, "my.app"},
        Case{"SET \"My\".\"b;\" = 1", Kind::kSet, "\"My\".\"b;\""},
        Case{"SET LOCAL a = 1", Kind::kSetLocal, "a"}, Case{"SET local.a = 1", Kind::kSet, "local.a"},
        Case{"SET transaction.a = 1", Kind::kSet, "transaction.a"},
        Case{"SET Constraints.a = 1", Kind::kSet, "Constraints.a"},
        Case{"SET session.a = 1", Kind::kSet, "session.a"},
        Case{"SET session local.a = 1", Kind::kSet, "local.a"},
        Case{"SET local session.a = 1", Kind::kSetLocal, "session.a"},
        Case{"SET names.a = 1", Kind::kSet, "names.a"}, Case{"SET schema.a = 1", Kind::kSet, "schema.a"},
        Case{"SET time.zone = 1", Kind::kSet, "time.zone"}, Case{"SET local/**/.a = 1", Kind::kSet, ""},
        Case{"SET a .b = 1", Kind::kSet, ""}, Case{"SET \"local\".a = 1", Kind::kSet, "\"local\".a"},
        Case{"RESET schema.a", Kind::kReset, "schema.a"}, Case{"SET TRANSACTION READ ONLY", Kind::kSetLocal},
        Case{"SET CONSTRAINTS ALL DEFERRED", Kind::kSetLocal},
        Case{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Kind::kSet},
        Case{"SET SESSION AUTHORIZATION x", Kind::kSet, "session_authorization"},
        Case{"SET TIME ZONE 'UTC'", Kind::kSet, "timezone"},
        Case{"SET LOCAL TIME ZONE 0", Kind::kSetLocal, "timezone"},
        Case{"SET timezone = 'UTC'", Kind::kSet, "timezone"},
        Case{"SET NAMES 'utf8'", Kind::kSet, "client_encoding"},
        Case{"SET SCHEMA 'x'", Kind::kSet, "search_path"}, Case{"SET ROLE x", Kind::kSet, "ROLE"},
        Case{"SET XML OPTION DOCUMENT", Kind::kSet, "xmloption"}, Case{"RESET a", Kind::kReset, "a"},
        Case{"RESET ALL", Kind::kResetAll},
        Case{"RESET SESSION AUTHORIZATION", Kind::kReset, "session_authorization"},
        Case{"RESET TIME ZONE", Kind::kReset, "timezone"},
        Case{"RESET TRANSACTION ISOLATION LEVEL", Kind::kReset, "transaction_isolation"},
        Case{"DISCARD ALL", Kind::kDiscardAll}, Case{"DISCARD PLANS", Kind::kDiscardOther},
        Case{"DISCARD TEMPORARY", Kind::kDiscardOther}));

// A table that is made after it is a temporary one.
INSTANTIATE_TEST_SUITE_P(
    SearchPath, SqlText,
    ::testing::Values(
        Case{"SET search_path TO pg_temp, public", Kind::kCreateTemporary, "search_path"},
        Case{"SET Search_Path = a, PG_TEMP", Kind::kCreateTemporary, "Search_Path"},
        Case{"SET \"search_path\" = \"pg_temp\"", Kind::kCreateTemporary, "\"search_path\""},
        Case{"SET SESSION search_path = a, 'pg_temp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET LOCAL search_path = 'pg_temp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET SCHEMA 'pg_temp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = $$pg_temp$$", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = $a$pg_temp$a$", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = 'pg_' -- x\n'temp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = E'pg\\x5ftemp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = E'\\x70g_temp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = e'pg_temp'", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = e'app'", Kind::kSet, "search_path"},
        Case{"SET search_path = U&'pg!005ftemp' UESCAPE '!'", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = U&\"pg\\005ftemp\"", Kind::kCreateTemporary, "search_path"},
        Case{"SET search_path = public, \"$user\", 'temp', a$pg_temp", Kind::kSet, "search_path"},
        Case{"SET search_path = 'pg_', 'temp'", Kind::kSet, "search_path"},
        Case{"SET search_path = U&\"app\" /* pg_temp */", Kind::kSet, "search_path"},
        Case{"SET LOCAL search_path = app", Kind::kSetLocal, "search_path"},
        Case{"SET SCHEMA 'app'", Kind::kSet, "search_path"},
        Case{"SET application_name = 'pg_temp'", Kind::kSet, "application_name"},
        Case{"RESET search_path", Kind::kReset, "search_path"}));

INSTANTIATE_TEST_SUITE_P(
    Transactions, SqlText,
    ::testing::Values(Case{"BEGIN", Kind::kBegin}, Case{"begin isolation level serializable", Kind::kBegin},
                      Case{"START TRANSACTION", Kind::kBegin}, Case{"COMMIT", Kind::kCommit},
                      Case{"COMMIT AND CHAIN", Kind::kCommit}, Case{"END", Kind::kCommit},
                      Case{"END WORK", Kind::kCommit}, Case{"ROLLBACK", Kind::kRollback},
                      Case{"ABORT", Kind::kRollback}, Case{"ROLLBACK WORK TO SAVEPOINT a", Kind::kRollbackTo},
                      Case{"ROLLBACK TO a", Kind::kRollbackTo},
                      Case{"COMMIT PREPARED 'x'", Kind::kFinishPrepared},
                      Case{"ROLLBACK PREPARED 'x'", Kind::kFinishPrepared},
                      Case{"SAVEPOINT a", Kind::kSavepoint}, Case{"RELEASE a", Kind::kRelease}));

INSTANTIATE_TEST_SUITE_P(
    Others, SqlText,
    ::testing::Values(Case{"LISTEN ch", Kind::kListen, "ch"}, Case{"UNLISTEN ch", Kind::kUnlisten, "ch"},
                      Case{"UNLISTEN *", Kind::kUnlistenAll}, Case{"NOTIFY ch, 'x;'", Kind::kNotify, "ch"},
                      Case{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", Kind::kDeclare, "c"},
                      Case{"CREATE TEMP TABLE t(a int)", Kind::kCreateTemporary},
                      Case{"create local temporary table t(a int)", Kind::kCreateTemporary},
                      Case{"CREATE OR REPLACE TEMP VIEW v AS SELECT 1", Kind::kCreateTemporary},
                      Case{"CREATE TABLE temp(a int)", Kind::kOther},
                      Case{"LOAD 'auto_explain'", Kind::kLoad}, Case{"SELECT 1", Kind::kOther},
                      Case{"SETX", Kind::kOther}, Case{"BEGINS", Kind::kOther},
                      Case{"START_REPLICATION SLOT a", Kind::kOther}, Case{"\"SET\" a", Kind::kOther},
                      Case{"(SELECT 1)", Kind::kOther}, Case{"1", Kind::kOther}, Case{"", Kind::kEmpty}));

TEST(SqlTextScan, SkipsSpaceAndCommentsAheadOfTheFirstWordAndBetweenWords) {
  EXPECT_EQ(classify_simple(" \t\r\n\f\v-- SET a=1\n/* x /* nested */ y */ ;; BEGIN").kind, Kind::kBegin);
  EXPECT_EQ(classify_simple("DISCARD/**/ALL").kind, Kind::kDiscardAll);
  EXPECT_EQ(classify_simple("DISCARD -- x\r ALL").kind, Kind::kDiscardAll);
  EXPECT_EQ(classify_simple("/* never closed BEGIN").kind, Kind::kEmpty);
  EXPECT_EQ(classify_simple(" ; -- only").kind, Kind::kEmpty);
}

TEST(SqlTextScan, FindsWhatFollowsTheFirstStatement) {
  const auto first = classify_simple("SELECT 1; /* ; */ SET a = 1 ;; COMMIT;");
  EXPECT_EQ(first.kind, Kind::kOther);
  EXPECT_EQ(first.rest, "SET a = 1 ;; COMMIT;");
  const auto second = classify_simple(first.rest);
  EXPECT_EQ(second.kind, Kind::kSet);
  const auto third = classify_simple(second.rest);
  EXPECT_EQ(third.kind, Kind::kCommit);
  EXPECT_FALSE(third.multiple());
}

TEST(SqlTextScan, DoesNotCountSemicolonsInsideQuotesCommentsAndParentheses) {
  for (const char* text :
       {"SELECT ';' AS a", "SELECT 'it''s; x' AS a", "SELECT \"a;b\" FROM t", "SELECT \"a\"\";b\" FROM t",
        "SELECT E'\\'; x' AS a", "SELECT e'a'';\\'' AS a", "SELECT $$;$$ AS a", "SELECT $x$ $y$;$$ $x$ AS a",
        "SELECT $\xc3\xa9$;$\xc3\xa9$ AS a", "SELECT 1 -- ; x\n AS a", "SELECT /* ; /* ; */ ; */ 1 AS a",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 'never closed; x", "SELECT $$ ; x",
        "SELECT 1 /* ; --*/ AS a"}) {
    EXPECT_FALSE(classify_simple(text).multiple()) << text;
    EXPECT_EQ(classify_simple(std::string(text) + "'\"$$*/'\"$$;").kind,
              Kind::kOther);  // no crash, no matter what
  }
}

TEST(SqlTextScan, CountsSemicolonsThatOnlyLookQuoted) {
  for (const char* text :
       {"SELECT 'a\\'; SELECT 1", "SELECT type'\\'; SELECT 1", "SELECT a$$; SELECT 1; b$$",
        "SELECT $1; SELECT 1", "SELECT $1$; SELECT 1 $1$", "SELECT 1 - 2; SELECT 1", "SELECT 1 / 2; SELECT 1",
        "SELECT 'a'/*'*/; SELECT '1'", "SELECT E'\\\\'; SELECT 1", "SELECT 1;SELECT 2",
        "SELECT /* ; */ 1; SELECT 1", "SELECT (1)); SELECT 1", "SELECT $a b$; SELECT $a b$",
        "/* ; --*/ SELECT 1; SELECT 2"}) {
    EXPECT_TRUE(classify_simple(text).multiple()) << text;
  }
}

TEST(SqlTextScan, WorksOnEveryPrefixOfAText) {
  const std::string text =
      "/*a*/ PREPARE \"x\"\"y\" AS SELECT E'\\'', $t$;$t$, $1; SET LOCAL a.b = ';' -- end";
  for (std::size_t bytes = 0; bytes <= text.size(); ++bytes) {
    const std::string prefix = text.substr(0, bytes);  // memory of its own, so that reading beyond it shows
    const auto found = classify_simple(prefix);
    EXPECT_LE(found.rest.size(), prefix.size());
  }
}

TEST(Identifier, FoldsAndUnquotesAsPostgresDoes) {
  EXPECT_EQ(identifier("MyName"), "myname");
  EXPECT_EQ(identifier("\"MyName\""), "MyName");
  EXPECT_EQ(identifier("\"a\"\"B\""), "a\"B");
  EXPECT_EQ(identifier("My.\"App.X\".Y"), "my.App.X.y");
  EXPECT_EQ(identifier("\xc3\x84pfel"), "\xc3\x84pfel");
  EXPECT_EQ(identifier("\"never closed"), "never closed");
  EXPECT_EQ(identifier(""), "");
}

TEST(Identifier, CutsNamesTo63BytesBetweenCharacters) {
  EXPECT_EQ(identifier(std::string(64, 'a')), std::string(63, 'a'));
  EXPECT_EQ(identifier(std::string(62, 'a') + "\xc3\xa9"), std::string(62, 'a'));
  EXPECT_EQ(identifier(std::string(61, 'a') + "\xc3\xa9"), std::string(61, 'a') + "\xc3\xa9");
  EXPECT_EQ(identifier(std::string(70, 'a') + ".b"), std::string(63, 'a') + ".b");
}

TEST(TellsTime, WhereAStringBeginsWithAMoment) {
  for (const char* text : {"SELECT timestamptz 'now'", "SELECT 'NOW'::date", "SELECT date ' \t\nToday '",
                           "SELECT 'a', 'tomorrow'", "SELECT e'yesterday 04:00'", "SELECT '' 'now'"}) {
    EXPECT_TRUE(tells_time(text)) << text;
  }
  for (const char* text : {"", "'", "' ", "SELECT now()", "SELECT 'nowhere'", "SELECT 'no'",
                           "SELECT 'not now'", "SELECT 'today_x'", "SELECT \"now\""}) {
    EXPECT_FALSE(tells_time(text)) << text;
  }
}

}  // namespace
}  // namespace penstock::pgwire
