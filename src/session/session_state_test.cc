// Sessions on a simulated loop: what a client's texts leave in the server's session keeps the client there.
#include <gtest/gtest.h>

#include "session/login_sim_test.h"

namespace penstock::session {
namespace {

using namespace testing;

class SessionStateTest : public LoginTest {
 public:
  SessionStateTest() {
    settings.pool_size = 2;
    instruct();
    // Any text is one statement that is done at once.
    server.script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
      if (message.type != 'Q') return false;
      peer.send(sim::message('C', sim::zero_ended("DONE")));
      peer.ready();
      return true;
    };
  }
  // Whether a client that sends these pieces, one after another, keeps its server.
  bool pins(const std::vector<std::string>& pieces) {
    Guest& guest = log_in("alice.acme", "new");
    EXPECT_TRUE(guest.is_in);
    const auto before = pinned();
    guest.seen.clear();
    for (const std::string& piece : pieces) say(guest, piece, milliseconds(2));
    EXPECT_TRUE(guest.seen.ends_with("Z")) << guest.seen;
    const bool is_pinned = pinned() > before;
    EXPECT_EQ(pool_of_alice()->counts().lent, is_pinned ? 1U : 0U);
    run([&] { guest.leave(); });
    let(milliseconds(20));
    return is_pinned;
  }
  std::uint64_t pinned() {
    std::uint64_t sum = 0;
    for (const auto reason :
         {telemetry::PinReason::kState, telemetry::PinReason::kTemporary, telemetry::PinReason::kOther}) {
      sum += pool_of_alice()->counters().pins[reason].read();
    }
    return sum;
  }
  static std::string query(const std::string& text) { return sim::message('Q', sim::zero_ended(text)); }
};

TEST_F(SessionStateTest, ATextCountsWhereverItIsCut) {
  const std::string bytes = query("SET statement_timeout = 4321 /* " + std::string(60, 'x') + " */");
  for (std::size_t at = 1; at < bytes.size(); ++at) {
    EXPECT_TRUE(pins({bytes.substr(0, at), bytes.substr(at)})) << "cut at " << at;
  }
  const std::string harmless = query("SELECT 'SET statement_timeout = 1' /* " + std::string(60, 'x') + " */");
  for (std::size_t at = 1; at < harmless.size(); at += 7) {
    EXPECT_FALSE(pins({harmless.substr(0, at), harmless.substr(at)})) << "cut at " << at;
  }
}

TEST_F(SessionStateTest, ALongTextCountsToItsEnd) {
  std::string rows = "INSERT INTO t VALUES ('a;b')";
  while (rows.size() < 40'000) rows += ", ('; SET work_mem = 1')";
  const auto cut = [](const std::string& bytes, std::size_t at) {
    return std::vector<std::string>{bytes.substr(0, at), bytes.substr(at)};
  };
  const std::string quiet = query(rows);
  const std::string last = query(rows + "; SET work_mem = 1");
  const std::string first = query("SET work_mem = 1; " + rows);
  const std::string temporary = query("SELECT '" + std::string(20'000, 'x') + "' INTO TEMP t");
  for (const std::size_t at : {10U, 100U, 5'000U, 20'000U, 40'010U}) {
    EXPECT_FALSE(pins(cut(quiet, at))) << at;
    EXPECT_TRUE(pins(cut(last, at))) << at;
    EXPECT_TRUE(pins(cut(first, at))) << at;
  }
  EXPECT_TRUE(pins(cut(temporary, 100)));
  EXPECT_TRUE(pins({temporary}));
}

TEST_F(SessionStateTest, EachStatementOfATextCounts) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "SELECT 1;";
  EXPECT_FALSE(pins({query(text)}));
  EXPECT_TRUE(pins({query(text + "SET statement_timeout = 555")}));
}

TEST_F(SessionStateTest, TemporaryTablesCountHoweverTheyAreMade) {
  EXPECT_TRUE(pins({query("SELECT 1 AS x INTO TEMP t")}));
  EXPECT_TRUE(pins({query("EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1")}));
  EXPECT_TRUE(pins({query("CREATE TABLE pg_temp.t (a integer)")}));
  EXPECT_FALSE(pins({query("SELECT 1 AS temp INTO t")}));
}

TEST_F(SessionStateTest, ALongParseCountsToItsEnd) {
  settings.statement_bytes_max = 2048;
  instruct();
  const auto batch = [](const std::string& text) {
    return sim::message('P', sim::zero_ended("") + sim::zero_ended(text) + std::string(2, '\0')) +
           sim::message('B', std::string(8, '\0')) + sim::message('E', std::string(5, '\0')) +
           sim::message('S');
  };
  const std::string filler = "/*" + std::string(5'000, 'x') + "*/";
  for (const std::size_t at : {20U, 1'000U, 5'010U}) {
    const std::string set = batch("SET " + filler + " work_mem = 1");
    EXPECT_TRUE(pins({set.substr(0, at), set.substr(at)})) << at;
    const std::string table = batch("SELECT 1 " + filler + " INTO TEMP t");
    EXPECT_TRUE(pins({table.substr(0, at), table.substr(at)})) << at;
    const std::string plain = batch("SELECT 1 " + filler + " AS x");
    EXPECT_FALSE(pins({plain.substr(0, at), plain.substr(at)})) << at;
  }
}

}  // namespace
}  // namespace penstock::session
