// What an upstream knows of prepared statements after each thing that may happen to them.
#include <gtest/gtest.h>

#include <string>

#include "upstream/unwired_test.h"

namespace penstock::upstream {
namespace {

using namespace testing;
using Kind = Reply::Kind;
using Prepared = Upstream::Prepared;

class UpstreamPreparedTest : public UnwiredTest {
 public:
  // As a session does it: counted as prepared when sent.
  void send_parse(const StatementPtr& which) {
    upstream.prepared.insert(which, now());
    ask(Reply{.kind = Kind::kParse, .statement = which});
  }
  void send_bind(const StatementPtr& which) { ask(Reply{.kind = Kind::kBind, .statement = which}); }
  void send_close(const StatementPtr& which) {
    ask(Reply{.kind = Kind::kClose, .visible = false, .statement = which});
  }
  Prepared prepared(const StatementPtr& which, bool afresh = false) {
    return upstream.is_prepared(*which, afresh);
  }

  StatementPtr a = statement("SELECT a"), b = statement("SELECT b");
};

TEST_F(UpstreamPreparedTest, AParseThatSucceedsIsKept) {
  EXPECT_EQ(prepared(a), Prepared::kNo);
  send_parse(a);
  ask({Kind::kSync});
  EXPECT_EQ(hear(bare("1") + ready()), "1Z");
  EXPECT_EQ(prepared(a), Prepared::kYes);
  EXPECT_EQ(prepared(a, true), Prepared::kYes);
  EXPECT_EQ(prepared(b), Prepared::kNo);
}

TEST_F(UpstreamPreparedTest, AParseThatFailsIsInDoubt) {
  send_parse(a);
  ask({Kind::kSync});
  EXPECT_EQ(hear(error("42601", "syntax error") + ready()), "EZ");
  EXPECT_EQ(prepared(a), Prepared::kOutdated) << "it may have failed because the server has it";
}

TEST_F(UpstreamPreparedTest, AParseThatIsSkippedIsInDoubt) {
  send_parse(a);
  send_bind(a);
  send_parse(b);
  ask({Kind::kSync});
  EXPECT_EQ(hear(bare("1") + error() + ready()), "1EZ");
  EXPECT_EQ(prepared(a), Prepared::kYes);
  EXPECT_EQ(prepared(b), Prepared::kOutdated);
}

TEST_F(UpstreamPreparedTest, ACloseThatIsSkippedLeavesItInDoubt) {
  upstream.prepared.insert(b, now());
  upstream.prepared.erase(*b);  // evicted
  send_parse(a);
  send_close(b);
  ask({Kind::kSync});
  EXPECT_EQ(hear(error() + ready()), "EZ");
  EXPECT_EQ(prepared(a), Prepared::kOutdated);
  EXPECT_EQ(prepared(b), Prepared::kOutdated)
      << "the server still has it: it must be closed before it comes again";
}

TEST_F(UpstreamPreparedTest, ACloseAndAParseOfTheSameNameThatAreSkippedLeaveItInDoubt) {
  send_close(a);
  send_parse(a);
  ask({Kind::kSync});
  EXPECT_EQ(hear(error() + ready()), "EZ");
  EXPECT_EQ(prepared(a), Prepared::kOutdated);
}

TEST_F(UpstreamPreparedTest, DeallocateAllForgetsEverything) {
  upstream.prepared.insert(a, now());
  ask({Kind::kQuery});
  EXPECT_EQ(hear(done("DEALLOCATE ALL") + ready()), "CZ");
  EXPECT_EQ(prepared(a), Prepared::kNo);
}

TEST_F(UpstreamPreparedTest, DeallocateOfOneForgetsNothing) {
  upstream.prepared.insert(a, now());
  ask({Kind::kQuery});
  EXPECT_EQ(hear(done("DEALLOCATE") + ready()), "CZ");
  EXPECT_EQ(prepared(a), Prepared::kYes);
}

TEST_F(UpstreamPreparedTest, WhatIsParsedBehindDeallocateAllStays) {
  for (const char* tag : {"DEALLOCATE ALL", "DISCARD ALL"}) {
    upstream.prepared.insert(a, now());
    ask({Kind::kQuery});
    send_parse(b);
    ask({Kind::kSync});
    EXPECT_EQ(hear(done(tag) + ready()), "CZ");
    EXPECT_EQ(prepared(a), Prepared::kNo) << tag;
    EXPECT_EQ(prepared(b), Prepared::kYes) << tag;
    EXPECT_EQ(hear(bare("1") + ready()), "1Z");
    EXPECT_EQ(prepared(b), Prepared::kYes) << tag;
  }
}

TEST_F(UpstreamPreparedTest, WhatIsParsedAndClosedBehindDeallocateAllIsGone) {
  ask({Kind::kQuery});
  send_parse(a);
  send_parse(b);
  upstream.prepared.erase(*a);  // evicted to make room for b
  send_close(a);
  ask({Kind::kSync});
  EXPECT_EQ(hear(done("DEALLOCATE ALL") + ready()), "CZ");
  EXPECT_EQ(prepared(a), Prepared::kOutdated) << "its Close may yet be skipped";
  hear(bare("1") + bare("1") + bare("3") + ready());
  EXPECT_EQ(prepared(a), Prepared::kNo);
  EXPECT_EQ(prepared(b), Prepared::kYes);
}

TEST_F(UpstreamPreparedTest, WhatIsClosedAndParsedBehindDeallocateAllStays) {
  ask({Kind::kQuery});
  send_close(a);
  send_parse(a);
  ask({Kind::kSync});
  EXPECT_EQ(hear(done("DEALLOCATE ALL") + ready()), "CZ");
  hear(bare("3") + bare("1") + ready());
  EXPECT_EQ(prepared(a), Prepared::kYes);
}

TEST_F(UpstreamPreparedTest, WhatAnEarlierBatchWasToPrepareIsPreparedAgain) {
  ask({Kind::kBind});
  upstream.prepared.insert(a, now());
  ask(Reply{.kind = Kind::kParse, .visible = false, .statement = a});
  EXPECT_EQ(prepared(a), Prepared::kYes) << "in the same batch: should it fail, nobody binds it";
  ask({Kind::kSync});
  EXPECT_EQ(prepared(a), Prepared::kOutdated);
  EXPECT_EQ(hear(error("22P02", "invalid") + ready()), "EZ");
  EXPECT_EQ(prepared(a), Prepared::kOutdated);
}

TEST_F(UpstreamPreparedTest, APlanThatNoLongerFitsIsInDoubtHereAndEverywhere) {
  std::string other_written;
  Upstream other{8, logged_in(*loop, other_written), at_login, schema};
  for (Upstream* one : {&upstream, &other}) one->prepared.insert(a, now());
  other.prepared.insert(b, now());
  wait();
  send_bind(a);
  ask({Kind::kExecute, Kind::kSync});
  EXPECT_EQ(hear(error("0A000", "cached plan must not change result type") + ready()), "EZ");
  EXPECT_EQ(prepared(a), Prepared::kOutdated);
  EXPECT_EQ(other.is_prepared(*a, false), Prepared::kOutdated);
  EXPECT_EQ(other.is_prepared(*b, false), Prepared::kYes)
      << "a client that has it must see what the server says";
  EXPECT_EQ(other.is_prepared(*b, true), Prepared::kOutdated) << "the tables have changed";
  wait();
  upstream.prepared.insert(a, now());
  EXPECT_EQ(prepared(a), Prepared::kYes);
}

TEST_F(UpstreamPreparedTest, OtherErrorsOfABindLeaveTheStatementAlone) {
  upstream.prepared.insert(a, now());
  wait();
  for (const auto& text : {error(), error("0A000", "cannot do that"),
                           error("XX000", "cached plan must not change result type")}) {
    send_bind(a);
    ask({Kind::kSync});
    EXPECT_EQ(hear(text + ready()), "EZ");
    EXPECT_EQ(prepared(a, true), Prepared::kYes);
  }
}

TEST_F(UpstreamPreparedTest, AStalePlanOfTheClientsOwnStatementIsNoneOfOurs) {
  upstream.prepared.insert(a, now());
  wait();
  ask({Kind::kBind, Kind::kSync});
  EXPECT_EQ(hear(error("0A000", "cached plan must not change result type") + ready()), "EZ");
  EXPECT_EQ(prepared(a, true), Prepared::kYes);
}

TEST_F(UpstreamPreparedTest, AChangeOfTablesCountsForThoseWhoPrepareAfterwards) {
  std::string other_written;
  Upstream other{8, logged_in(*loop, other_written), at_login, schema};
  for (Upstream* one : {&upstream, &other}) one->prepared.insert(a, now());
  wait();
  ask({Kind::kQuery});
  EXPECT_EQ(hear(done("ALTER TABLE")), "C");
  EXPECT_EQ(prepared(a, true), Prepared::kOutdated) << "this session sees its own change at once";
  EXPECT_EQ(prepared(a, false), Prepared::kYes);
  EXPECT_EQ(other.is_prepared(*a, true), Prepared::kYes) << "others do not before it is committed";
  EXPECT_EQ(hear(ready('T')), "Z");
  EXPECT_EQ(other.is_prepared(*a, true), Prepared::kYes);
  ask({Kind::kQuery});
  EXPECT_EQ(hear(done("COMMIT") + ready()), "CZ");
  EXPECT_EQ(other.is_prepared(*a, true), Prepared::kOutdated);
  EXPECT_EQ(other.is_prepared(*a, false), Prepared::kYes);
  wait();
  other.prepared.insert(a, now());
  EXPECT_EQ(other.is_prepared(*a, true), Prepared::kYes);
}

TEST_F(UpstreamPreparedTest, DoubtIsOutdatedWhateverTheTime) {
  upstream.prepared.insert(a, now());
  upstream.prepared.doubt_all();
  EXPECT_EQ(prepared(a), Prepared::kOutdated);
  EXPECT_EQ(prepared(a, true), Prepared::kOutdated);
}

}  // namespace
}  // namespace penstock::upstream
