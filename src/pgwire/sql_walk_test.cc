#include "pgwire/sql_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace penstock::pgwire {
namespace {

using Kind = StatementKind;
using ::testing::ElementsAre;

struct Seen {
  Kind kind;
  std::string name;
  bool operator==(const Seen&) const = default;
};

// What a walk finds in a text that comes in these pieces.
std::vector<Seen> walk(const std::vector<std::string>& pieces) {
  SqlWalk walk;
  std::vector<Seen> found;
  const auto note = [&] {
    const auto statement = walk.statement();
    if (statement.kind != Kind::kEmpty) found.push_back({statement.kind, std::string(statement.name)});
    walk.start_next();
  };
  for (const std::string& piece : pieces) {
    std::string_view left = piece;
    while (!left.empty()) {
      left.remove_prefix(walk.feed(left));
      if (walk.at_end()) note();
    }
  }
  note();
  return found;
}

// What classify_simple finds, one after another.
std::vector<Seen> classify(std::string_view text) {
  std::vector<Seen> found;
  while (!text.empty()) {
    const auto statement = classify_simple(text);
    if (statement.kind != Kind::kEmpty) found.push_back({statement.kind, std::string(statement.name)});
    text = statement.rest;
  }
  return found;
}

std::vector<Kind> kinds(const std::vector<Seen>& seen) {
  std::vector<Kind> result;
  for (const Seen& each : seen) result.push_back(each.kind);
  return result;
}

const std::vector<std::string> kTexts = {
    "SELECT 1",
    "set a.b = 1; reset \"x\"\"y\" ;; ; discard all",
    "SELECT ';', E'\\';', e'''\\';', 'a\\'; SET c = 1; SELECT type'\\'; SET d = 2",
    "SELECT $$;$$, $x$ $y$;$$ $x$, $1, a$$; SET e = 1; SELECT b$$",
    "SELECT $1$; SET f = 1; SELECT $1$; SELECT $a b$; SET g TO 2",
    "SELECT 1 -- ; SET no = 1\n; SET -- x\r h /* ; /* ; */ ; */ = 1",
    "SELECT 1 - 2; SELECT 3 / 4; SELECT 5 * 6; SET i = -1; - -1; RESET j",
    "/* SET no = 1; --*/ SET k = 1; /*/ SET no = 1 */ SET l = 1",
    "SELECT \"a;b\", \"c\"\";\"; SET m = 1",
    "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SET no = 2); SET n = 1; SELECT (1)); SET o = 1",
    "SELECT 1 AS x INTO TEMP t; SELECT 1 INTO t; select 1 into/**/local--\ntemporary table t from a",
    "EXPLAIN (ANALYZE, COSTS off) CREATE TEMP TABLE t AS SELECT 1; EXPLAIN SELECT 1; EXPLAIN SELECT temp "
    "FROM t",
    "CREATE TABLE Pg_Temp.t (a int); CREATE TABLE t (temp int); CREATE GLOBAL TEMPORARY TABLE t (a int)",
    "WITH a AS (INSERT INTO temp VALUES (1)) SELECT 1; WITH a AS (SELECT 1) SELECT * INTO TEMP t FROM a",
    "(SELECT 1 INTO TEMP t); ((SELECT 1)); INSERT INTO temp VALUES (1); SELECT 'x' 'into temp y', \"into\" "
    "temp",
    "SET TIME ZONE 'UTC'; LISTEN \"a b\"; DEALLOCATE PREPARE x; DEALLOCATE ALL; PREPARE y AS SELECT $1",
    "CREATE TABLE \"pg_temp\".t (a int); CREATE TABLE U&\"pg\\005ftemp\".t (a int); SELECT 1 INTO "
    "\"pg_temp\".t",
    "CREATE TABLE U&\"pg!005ftemp\" UESCAPE '!' .t (a int); SELECT U&'pg\\005ftemp', a&\"b\\c\", 'pg_temp'",
    "SET search_path TO a, pg_temp; SET search_path = \"pg_temp\"; SET LOCAL search_path='pg_temp'; SET "
    "SCHEMA 'pg_temp'",
    "SET search_path = $x$pg_temp$x$; SET search_path = 'pg_' --\n 'temp'; SET search_path = E'\\x70g_temp'",
    "SET search_path = U&'pg!005ftemp' UESCAPE '!'; SET search_path = app, \"$user\"; SET x = 'pg_temp'",
    "SET local.a = 1; SET transaction.a = 2; SET LOCAL a = 3; SET session.a = 4; SET names /**/.a = 5",
    "SELECT 'never closed; SET no = 1",
    "SELECT $$ never closed; SET no = 1",
    "SELECT e'a'$$; SET no = 1;$$; SET p = 1",
    "SELECT 1 /* never closed; SET no = 1",
    "",
    " ; -- only",
};

TEST(SqlWalk, FindsWhatIsFoundInAWholeText) {
  for (const std::string& text : kTexts) EXPECT_EQ(walk({text}), classify(text)) << text;
}

TEST(SqlWalk, FindsTheSameHoweverTheTextIsCut) {
  for (const std::string& text : kTexts) {
    const auto expected = walk({text});
    std::vector<std::string> bytes;
    for (std::size_t at = 0; at < text.size(); ++at) {
      bytes.push_back(text.substr(at, 1));
      EXPECT_EQ(walk({text.substr(0, at), text.substr(at)}), expected) << text << " cut at " << at;
    }
    EXPECT_EQ(walk(bytes), expected) << text;
  }
}

TEST(SqlWalk, FindsStatementsFarBehindTheFirstBytes) {
  const std::string rows = "INSERT INTO t VALUES ('a;b', E'it\\'s;', $$;$$)";
  std::string text = rows;
  while (text.size() < 40'000) text += ", ('more; text &amp; more', 12345, 2/1, 'E', (1))";
  const auto found = walk(
      {text + ";SET /*" + std::string(5000, '-') + "*/" + std::string(5000, ' ') + "work_mem = 1;" + text});
  EXPECT_EQ(found, (std::vector<Seen>{{Kind::kOther, ""}, {Kind::kSet, "work_mem"}, {Kind::kOther, ""}}));
}

TEST(SqlWalk, FindsTemporaryThingsFarBehindTheFirstBytes) {
  std::string columns = "SELECT 1";
  while (columns.size() < 40'000) columns += ", 'into temp x' || a_column AS c";
  EXPECT_THAT(kinds(walk({columns + " FROM t"})), ElementsAre(Kind::kOther));
  EXPECT_THAT(kinds(walk({columns + " INTO TEMP u FROM t"})), ElementsAre(Kind::kCreateTemporary));
}

TEST(SqlWalk, FindsTheSchemaOfTemporaryTablesFarBehindTheFirstBytes) {
  std::string path = "SET search_path = a";
  while (path.size() < 40'000) path += ", 'schema', \"Another\", \"$user\"";
  EXPECT_THAT(kinds(walk({path})), ElementsAre(Kind::kSet));
  for (const std::string last :
       {"pg_temp", "\"pg_temp\"", "'pg_temp'", "$a$pg_temp$a$", "e'\\160g_temp'", "e'pg_temp'"}) {
    EXPECT_EQ(walk({path + ", " + last + ";"}), (std::vector<Seen>{{Kind::kCreateTemporary, "search_path"}}))
        << last;
  }
  const std::string select = "SELECT '" + std::string(40'000, 'x') + "' INTO ";
  EXPECT_THAT(kinds(walk({select + "\"pg_temp\".t"})), ElementsAre(Kind::kCreateTemporary));
  EXPECT_THAT(kinds(walk({select + "\"temp\".t"})), ElementsAre(Kind::kOther));
}

TEST(SqlWalk, EndsWithTheText) {
  using std::string_literals::operator""s;
  EXPECT_THAT(kinds(walk({"SELECT 1 INTO TEMP\0; SET a = 1"s})), ElementsAre(Kind::kCreateTemporary));
  EXPECT_THAT(kinds(walk({"SELECT 1 -- x\0\n; SET a = 1"s})), ElementsAre(Kind::kOther));
}

TEST(SqlWalk, SaysThatItIsLostWhenATagIsTooLong) {
  SqlWalk walk;
  const std::string tag = "$" + std::string(255, 'x') + "$";
  (void)walk.feed("SELECT $tag$;$tag$");
  EXPECT_FALSE(walk.is_lost());
  (void)walk.feed(tag + ";" + tag);
  EXPECT_TRUE(walk.is_lost());
}

}  // namespace
}  // namespace penstock::pgwire
