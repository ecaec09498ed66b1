// Upstream::track: what each sequence of messages from the server means.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "upstream/unwired_test.h"

namespace penstock::upstream {
namespace {

using namespace testing;
using sim::message;
using sim::zero_ended;
using Kind = Reply::Kind;

const std::string kCopyIn = message('G', std::string(3, '\0'));
const std::string kCopyBoth = message('W', std::string(3, '\0'));
const std::string kCopyOut = message('H', std::string(3, '\0'));

struct Exchange {
  const char* what;
  std::vector<Kind> asked;
  std::string answer;
  const char* heard;
  std::size_t left = 0;  // entries of the queue
  char status = 'I';
};

class TrackTest : public UnwiredTest, public ::testing::WithParamInterface<Exchange> {};

TEST_P(TrackTest, MatchesAnswersWithWhatWasAsked) {
  const Exchange& exchange = GetParam();
  for (const Kind kind : exchange.asked) ask({kind});
  EXPECT_EQ(hear(exchange.answer), exchange.heard);
  EXPECT_EQ(upstream.replies.size(), exchange.left);
  EXPECT_EQ(upstream.status, exchange.status);
  EXPECT_EQ(upstream.broken, std::string_view(exchange.heard).ends_with('!'));
  EXPECT_FALSE(upstream.copy_in);
}

std::vector<Exchange> exchanges() {
  using enum Kind;
  const std::string rows = columns() + row() + row() + done("SELECT 2");
  return {
      {"a query", {kQuery}, rows + ready(), "TDDCZ"},
      {"a query not yet ready", {kQuery}, rows, "TDDC", 1},
      {"many statements", {kQuery}, rows + done("SET") + rows + ready(), "TDDCCTDDCZ"},
      {"an empty query", {kQuery}, bare("I") + ready(), "IZ"},
      {"a failed query", {kQuery}, error() + ready(), "EZ"},
      {"a failed statement after others", {kQuery}, rows + error() + ready(), "TDDCEZ"},
      {"BEGIN", {kQuery}, done("BEGIN") + ready('T'), "CZ", 0, 'T'},
      {"a failed transaction", {kQuery}, error() + ready('E'), "EZ", 0, 'E'},
      {"two queries in a row", {kQuery, kQuery}, done("A") + ready() + done("B") + ready(), "CZCZ"},
      {"a function call", {kQuery}, message('V', sim::be32(0)) + ready(), "VZ"},
      {"COPY to the client",
       {kQuery},
       kCopyOut + message('d', "1") + bare("c") + done("COPY 1") + ready(),
       "HdcCZ"},
      {"a batch", {kParse, kBind, kDescribe, kExecute, kSync}, bare("12") + rows + ready(), "12TDDCZ"},
      {"a batch without rows",
       {kParse, kBind, kDescribe, kExecute, kSync},
       bare("12n") + done("SET") + ready(),
       "12nCZ"},
      {"a statement described",
       {kParse, kDescribe, kSync},
       bare("1") + message('t', "\0\0") + columns() + ready(),
       "1tTZ"},
      {"a portal in parts",
       {kBind, kExecute, kExecute, kSync},
       bare("2") + row() + bare("s") + row() + done("SELECT 1") + ready(),
       "2DsDCZ"},
      {"an empty statement", {kParse, kBind, kExecute, kSync}, bare("12I") + ready(), "12IZ"},
      {"Close", {kClose, kSync}, bare("3") + ready(), "3Z"},
      {"a pipeline",
       {kParse, kSync, kBind, kExecute, kSync},
       bare("1") + ready() + bare("2") + done("A") + ready(),
       "1Z2CZ"},
      {"a batch flushed", {kParse, kBind}, bare("1"), "1", 1},
      {"an error that skips to Sync", {kParse, kBind, kExecute, kSync}, error() + ready(), "EZ"},
      {"an error at the end of a batch",
       {kBind, kExecute, kSync},
       bare("2") + row() + error() + ready(),
       "2DEZ"},
      {"an error at Sync", {kBind, kExecute, kSync}, bare("2") + done("A") + error() + ready(), "2CEZ"},
      {"an error that skips Close", {kBind, kClose, kSync}, error() + ready(), "EZ"},
      {"an error that skips a Query", {kParse, kQuery, kSync}, error() + ready(), "EZ"},
      {"an error that leaves the next batch alone",
       {kParse, kBind, kSync, kBind, kExecute, kSync},
       error() + ready() + bare("2") + done("A") + ready(),
       "EZ2CZ"},
      {"two batches that fail",
       {kParse, kSync, kParse, kSync},
       error() + ready() + error() + ready(),
       "EZEZ"},
      {"a notice in a query", {kQuery}, message('N', zero_ended("")) + done("A") + ready(), "NCZ"},
      {"a notice between batch answers",
       {kParse, kSync},
       message('N', zero_ended("")) + bare("1") + ready(),
       "N1Z"},
      {"a notice unasked", {}, message('N', zero_ended("")), "N"},
      {"a notification unasked", {}, message('A', sim::be32(1) + zero_ended("ch") + zero_ended("")), "A"},
      {"a parameter unasked", {}, parameter("TimeZone", "Asia/Tokyo"), "S"},
      {"rows unasked", {}, row(), "!"},
      {"ready unasked", {}, ready(), "!"},
      {"a command done unasked", {}, done("A"), "!"},
      {"ParseComplete unasked", {}, bare("1"), "!"},
      {"COPY unasked", {}, kCopyIn, "!"},
      {"COPY out unasked", {}, kCopyOut, "!"},
      {"ready before the batch is done", {kParse, kSync}, ready(), "!", 2},
      {"the wrong completion", {kParse, kSync}, bare("2"), "!", 2},
      {"CloseComplete for a Bind", {kBind, kSync}, bare("3"), "!", 2},
      {"NoData for an Execute", {kExecute, kSync}, bare("n"), "!", 2},
      {"a command done for a Bind", {kBind, kSync}, done("A"), "!", 2},
      {"a portal suspended for a Parse", {kParse, kSync}, bare("s"), "!", 2},
      {"a transaction status that is none", {kQuery}, ready('x'), "!", 1},
      {"authentication after log-in", {kQuery}, message('R', sim::be32(0)), "!", 1},
      {"a type that does not exist", {kQuery}, message('?'), "!", 1},
  };
}

INSTANTIATE_TEST_SUITE_P(Sequences, TrackTest, ::testing::ValuesIn(exchanges()), [](const auto& info) {
  std::string name = info.param.what;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

class UpstreamTest : public UnwiredTest {};

TEST_F(UpstreamTest, SkipsToTheSyncThatHasNotBeenSentYet) {
  ask({Kind::kParse, Kind::kBind});
  EXPECT_EQ(hear(error()), "E");
  EXPECT_TRUE(upstream.skipping);
  EXPECT_TRUE(upstream.replies.empty());
}

TEST_F(UpstreamTest, DoesNotSkipWhatComesBehindASyncThatWasSent) {
  ask({Kind::kParse, Kind::kSync});
  EXPECT_EQ(hear(error()), "E");
  EXPECT_FALSE(upstream.skipping);
  EXPECT_EQ(upstream.replies.size(), 1U);
}

TEST_F(UpstreamTest, SwallowsAnswersToItsOwnStatements) {
  upstream.send_query("SET x TO 1");
  ask({Kind::kQuery});
  EXPECT_EQ(hear(parameter("TimeZone", "GMT") + done("SET") + ready() + done("A") + ready()), "(S)(C)(Z)CZ");
  EXPECT_EQ(*upstream.settings->find("TimeZone"), "GMT");
}

TEST_F(UpstreamTest, SaysWhenItsOwnStatementFailed) {
  upstream.send_query("SET x TO 1");
  EXPECT_EQ(hear(error()), "(E)");
  EXPECT_TRUE(last.failed);
  ask({Kind::kQuery});
  EXPECT_EQ(hear(ready() + error()), "(Z)E");
  EXPECT_FALSE(last.failed);
}

TEST_F(UpstreamTest, LetsTheClientHearTheEndOfARequestItFinishesItself) {
  ask(Reply{.kind = Kind::kQuery, .visible = false, .ends_request = true});
  EXPECT_EQ(hear(parameter("TimeZone", "GMT") + done("SET") + ready()), "S(C)Z");
}

TEST_F(UpstreamTest, AnErrorOfItsOwnParseIsTheClients) {
  const auto shared = statement("SELECT 1/0");
  upstream.prepared.insert(shared, now());
  ask(Reply{.kind = Kind::kParse, .visible = false, .statement = shared});
  ask({Kind::kBind, Kind::kExecute, Kind::kSync});
  EXPECT_EQ(hear(error() + ready()), "EZ");
  EXPECT_EQ(upstream.prepared.prepared_at(*shared), 0) << "in doubt";
}

TEST_F(UpstreamTest, NotificationsReachTheClientWhateverStatementOfOursRuns) {
  const auto notification = message('A', sim::be32(1) + zero_ended("ch") + zero_ended("hello"));
  ask(Reply{.kind = Kind::kParse, .visible = false});
  ask({Kind::kBind, Kind::kSync});
  EXPECT_EQ(hear(notification + bare("12") + ready()), "A(1)2Z");
  upstream.send_query("SET x TO 1");
  EXPECT_EQ(hear(done("SET") + notification + ready()), "(C)A(Z)");
}

TEST_F(UpstreamTest, ReadsCopyDataUntilItsEnd) {
  ask({Kind::kQuery});
  EXPECT_EQ(hear(kCopyIn), "G");
  EXPECT_TRUE(upstream.copy_in);
  EXPECT_FALSE(upstream.clean());
  EXPECT_EQ(hear(done("COPY 3") + ready()), "CZ");
  EXPECT_FALSE(upstream.copy_in);
  EXPECT_TRUE(upstream.clean());
}

TEST_F(UpstreamTest, ForgetsSyncsThatTheServerReadsAsPartOfACopy) {
  ask({Kind::kBind, Kind::kExecute, Kind::kSync, Kind::kSync});
  EXPECT_EQ(hear(bare("2") + kCopyIn), "2G");
  EXPECT_EQ(upstream.replies.size(), 1U);
  EXPECT_EQ(hear(done("COPY 3")), "C");
  EXPECT_FALSE(upstream.clean()) << "what the COPY has done is not committed before a Sync";
  ask({Kind::kSync});  // behind CopyDone
  upstream.end_batch();
  EXPECT_EQ(hear(ready()), "Z");
  EXPECT_TRUE(upstream.clean());
}

TEST_F(UpstreamTest, WaitsForTheSyncBehindACopyThatWasSentInOneWrite) {
  ask({Kind::kExecute, Kind::kSync});
  upstream.end_copy();
  ask({Kind::kSync});
  EXPECT_EQ(hear(kCopyIn), "G");
  EXPECT_FALSE(upstream.copy_in) << "the end has been sent";
  EXPECT_EQ(hear(done("COPY 3") + ready()), "CZ");
  EXPECT_TRUE(upstream.clean());
}

TEST_F(UpstreamTest, KnowsWhichOfSeveralCopiesInOneTextHaveBeenEnded) {
  ask({Kind::kQuery});
  EXPECT_EQ(hear(kCopyIn), "G");
  upstream.end_copy();
  EXPECT_EQ(hear(done("COPY 3") + kCopyIn), "CG");
  EXPECT_TRUE(upstream.copy_in) << "it waits for data";
  upstream.end_copy();
  EXPECT_EQ(hear(done("COPY 3") + ready()), "CZ");
  ask({Kind::kQuery});
  upstream.end_copy();
  upstream.end_copy();
  EXPECT_EQ(hear(kCopyIn), "G");
  EXPECT_FALSE(upstream.copy_in) << "both ends have been sent";
  EXPECT_EQ(hear(done("COPY 3") + kCopyIn), "CG");
  EXPECT_FALSE(upstream.copy_in);
  EXPECT_EQ(hear(done("COPY 3") + ready()), "CZ");
  EXPECT_TRUE(upstream.clean());
}

TEST_F(UpstreamTest, HearsTheSyncThatACopyHasNotReadBeforeItFailed) {
  ask({Kind::kExecute, Kind::kSync});
  EXPECT_EQ(hear(kCopyIn + error() + ready()), "GEZ");
  EXPECT_FALSE(upstream.skipping);
  EXPECT_TRUE(upstream.clean());
  EXPECT_TRUE(upstream.close_when_free) << "there may have been more of them";
  EXPECT_EQ(hear(ready()), "!");
}

TEST_F(UpstreamTest, ACopyThatFailsSkipsToTheNextSync) {
  ask({Kind::kExecute, Kind::kSync});
  EXPECT_EQ(hear(kCopyIn + error()), "GE");
  EXPECT_FALSE(upstream.copy_in);
  EXPECT_TRUE(upstream.skipping);
  EXPECT_FALSE(upstream.clean());
}

TEST_F(UpstreamTest, AResetOfOneSettingLeavesTheOthersThatTheServerDoesNotReport) {
  const auto with = [&](const char* name) { return settings.with(upstream.settings_at_login, name, "1s"); };
  upstream.adopt_settings(with("lock_timeout"));
  EXPECT_EQ(hear(done("SET") + ready()), "(C)(Z)");
  const SettingsPtr wanted = with("statement_timeout");
  upstream.adopt_settings(wanted);
  EXPECT_EQ(hear(done("RESET") + done("SET") + ready()), "(C)(C)(Z)");
  EXPECT_EQ(upstream.settings, wanted);
  upstream.send_cleaning("RESET ALL");
  EXPECT_EQ(hear(done("RESET") + ready()), "(C)(Z)");
  EXPECT_EQ(upstream.settings, upstream.settings_at_login);
}

TEST_F(UpstreamTest, TheUnnamedStatementIsInDoubtBehindABatchThatMayFail) {
  upstream.replace_unnamed(1);
  ask({Kind::kParse});
  upstream.replace_unnamed(1);
  upstream.end_batch();
  EXPECT_EQ(upstream.unnamed_of, 1U) << "nothing stood before it";
  upstream.replace_unnamed(2);
  EXPECT_EQ(upstream.unnamed_of, 2U);
  upstream.end_batch();
  EXPECT_EQ(upstream.unnamed_of, 0U) << "what stood before it may fail";
}

TEST_F(UpstreamTest, CopiesBothWaysAtOnce) {
  ask({Kind::kQuery});
  EXPECT_EQ(hear(kCopyBoth + message('d', "wal") + message('d', "wal")), "Wdd");
  EXPECT_TRUE(upstream.copy_in);
  EXPECT_EQ(hear(bare("c") + done("COPY 0") + done("START_REPLICATION") + ready()), "cCCZ");
  EXPECT_TRUE(upstream.clean());
}

TEST_F(UpstreamTest, AServerThatSaysWhyItStopsIsBroken) {
  EXPECT_EQ(hear(fatal()), "E");
  EXPECT_TRUE(upstream.broken);
  EXPECT_FALSE(upstream.clean());
}

TEST_F(UpstreamTest, AFatalErrorInAQueryBreaksIt) {
  ask({Kind::kQuery});
  EXPECT_EQ(hear(row() + fatal()), "DE");
  EXPECT_TRUE(upstream.broken);
}

TEST_F(UpstreamTest, AnErrorWithoutARequestBreaksItWhateverItsSeverity) {
  EXPECT_EQ(hear(error()), "E");
  EXPECT_TRUE(upstream.broken);
}

TEST_F(UpstreamTest, IsCleanOnlyWhenNothingIsLeft) {
  EXPECT_TRUE(upstream.clean());
  ask({Kind::kQuery});
  EXPECT_FALSE(upstream.clean());
  (void)hear(done("BEGIN") + ready('T'));
  EXPECT_FALSE(upstream.clean());
  ask({Kind::kQuery});
  (void)hear(done("COMMIT") + ready());
  EXPECT_TRUE(upstream.clean());
  upstream.in_batch = true;
  EXPECT_FALSE(upstream.clean());
}

// Long messages come in parts: only the first of them answers anything.
TEST_F(UpstreamTest, TakesAMessageInPartsAsOne) {
  ask({Kind::kDescribe, Kind::kExecute, Kind::kSync});
  const std::string answer = sim::row_description({std::string(5000, 'n')}) +
                             sim::data_row({std::string(9000, 'x')}) + done("SELECT 1") + ready();
  std::string heard;
  for (std::size_t at = 0; at < answer.size(); at += 700) {
    heard += hear(std::string_view(answer).substr(at, 700));
    if (at == 700) EXPECT_EQ(upstream.replies.size(), 2U);
  }
  EXPECT_EQ(heard.substr(heard.size() - 2), "CZ");
  EXPECT_TRUE(upstream.clean());
}

TEST_F(UpstreamTest, AdoptsSettingsWithOneStatementAtMost) {
  upstream.adopt_settings(at_login);
  EXPECT_EQ(written, "");
  const auto wanted = settings.with(at_login, "TimeZone", "GMT");
  upstream.adopt_settings(wanted);
  EXPECT_EQ(written, message('Q', zero_ended("SET \"TimeZone\" TO 'GMT';")));
  EXPECT_EQ(upstream.settings, wanted);
  EXPECT_EQ(upstream.replies.size(), 1U);
  upstream.adopt_settings(wanted);
  EXPECT_EQ(upstream.replies.size(), 1U);
}

TEST_F(UpstreamTest, AQueryOfItsOwnEndsTheUnnamedStatement) {
  upstream.unnamed_of = 4;
  upstream.send_query("ROLLBACK");
  EXPECT_EQ(upstream.unnamed_of, 0U);
}

TEST_F(UpstreamTest, FollowsTheSettingsTheServerReports) {
  EXPECT_EQ(hear(parameter("timezone", "GMT")), "S");
  EXPECT_EQ(upstream.settings, settings.intern({{"TimeZone", "GMT"}, {"application_name", ""}}));
  EXPECT_EQ(hear(parameter("TimeZone", "UTC")), "S");
  EXPECT_EQ(upstream.settings, at_login);
  EXPECT_EQ(hear(parameter("in_hot_standby", "on")), "S");
  EXPECT_EQ(upstream.settings, at_login) << "nobody can set that elsewhere";
}

TEST_F(UpstreamTest, DiscardAllLeavesTheSettingsThatTheServerReports) {
  upstream.settings = settings.intern({{"TimeZone", "GMT"}, {"application_name", "x"}, {"role", "app"}});
  upstream.unnamed_of = 4;
  ask({Kind::kQuery});
  EXPECT_EQ(
      hear(parameter("application_name", "") + parameter("TimeZone", "UTC") + done("DISCARD ALL") + ready()),
      "SSCZ");
  EXPECT_EQ(upstream.settings, at_login);
  EXPECT_EQ(upstream.unnamed_of, 0U);
  EXPECT_EQ(last.tag, pgwire::CommandTag::kOther) << "of the last message, which is none";
}

}  // namespace
}  // namespace penstock::upstream
