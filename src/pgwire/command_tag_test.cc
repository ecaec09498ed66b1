#include "pgwire/command_tag.h"

#include <gtest/gtest.h>

namespace penstock::pgwire {
namespace {

TEST(CommandTag, KnowsTagsThatChangeASession) {
  EXPECT_EQ(classify_tag("BEGIN"), CommandTag::kBegin);
  EXPECT_EQ(classify_tag("START TRANSACTION"), CommandTag::kBegin);
  EXPECT_EQ(classify_tag("COMMIT"), CommandTag::kCommit);
  EXPECT_EQ(classify_tag("COMMIT PREPARED"), CommandTag::kFinishPrepared);
  EXPECT_EQ(classify_tag("ROLLBACK"), CommandTag::kRollback);
  EXPECT_EQ(classify_tag("ROLLBACK PREPARED"), CommandTag::kFinishPrepared);
  EXPECT_EQ(classify_tag("PREPARE TRANSACTION"), CommandTag::kPrepareTransaction);
  EXPECT_EQ(classify_tag("SAVEPOINT"), CommandTag::kSavepoint);
  EXPECT_EQ(classify_tag("RELEASE"), CommandTag::kRelease);
  EXPECT_EQ(classify_tag("SET"), CommandTag::kSet);
  EXPECT_EQ(classify_tag("SET CONSTRAINTS"), CommandTag::kSetConstraints);
  EXPECT_EQ(classify_tag("RESET"), CommandTag::kReset);
  EXPECT_EQ(classify_tag("PREPARE"), CommandTag::kPrepare);
  EXPECT_EQ(classify_tag("DEALLOCATE"), CommandTag::kDeallocate);
  EXPECT_EQ(classify_tag("DEALLOCATE ALL"), CommandTag::kDeallocateAll);
  EXPECT_EQ(classify_tag("DISCARD ALL"), CommandTag::kDiscardAll);
  EXPECT_EQ(classify_tag("DISCARD PLANS"), CommandTag::kDiscardPlans);
  EXPECT_EQ(classify_tag("DISCARD SEQUENCES"), CommandTag::kDiscardSequences);
  EXPECT_EQ(classify_tag("DISCARD TEMP"), CommandTag::kDiscardTemp);
  EXPECT_EQ(classify_tag("LISTEN"), CommandTag::kListen);
  EXPECT_EQ(classify_tag("UNLISTEN"), CommandTag::kUnlisten);
  EXPECT_EQ(classify_tag("NOTIFY"), CommandTag::kNotify);
  EXPECT_EQ(classify_tag("DECLARE CURSOR"), CommandTag::kDeclareCursor);
  EXPECT_EQ(classify_tag("CLOSE CURSOR"), CommandTag::kCloseCursor);
  EXPECT_EQ(classify_tag("CLOSE CURSOR ALL"), CommandTag::kCloseCursorAll);
  EXPECT_EQ(classify_tag("LOAD"), CommandTag::kLoad);
}

TEST(CommandTag, KnowsSchemaChangesByTheirFirstWord) {
  EXPECT_EQ(classify_tag("CREATE TABLE"), CommandTag::kSchemaChange);
  EXPECT_EQ(classify_tag("ALTER TABLE"), CommandTag::kSchemaChange);
  EXPECT_EQ(classify_tag("DROP INDEX"), CommandTag::kSchemaChange);
}

TEST(CommandTag, LeavesEverythingElseAlone) {
  for (const char* tag :
       {"",        "SELECT 1", "SELECT 0",   "INSERT 0 1", "UPDATE 3",     "DELETE 0", "MERGE 1", "COPY 5",
        "FETCH 1", "VACUUM",   "SHOW",       "DO",         "CALL",         "begin",    "SETX",    "SE",
        "ZZZ",     "DISCARD",  "LOCK TABLE", "CREATE",     "\xff\xff\xff", "@AB",      "[AB"}) {
    EXPECT_EQ(classify_tag(tag), CommandTag::kOther) << tag;
  }
}

}  // namespace
}  // namespace penstock::pgwire
