#include "session/client_statements.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock::session {
namespace {

class ClientStatementsTest : public ::testing::Test {
 public:
  upstream::StatementPtr statement(std::string_view text) {
    return table.intern(base::as_bytes(std::string(text) + std::string(3, '\0')));
  }
  upstream::StatementTable table;
  upstream::StatementPtr x = statement("x"), y = statement("y");
  ClientStatements names;
};

TEST_F(ClientStatementsTest, ANameStandsForItsStatementAtOnce) {
  EXPECT_TRUE(names.empty());
  names.add("a", x);
  EXPECT_EQ(names.find("a"), x);
  EXPECT_EQ(names.find("A"), nullptr);
  EXPECT_EQ(names.find("b"), nullptr);
  names.confirm_one();
  EXPECT_EQ(names.find("a"), x);
  EXPECT_TRUE(names.remove("a"));
  EXPECT_FALSE(names.remove("a"));
  EXPECT_TRUE(names.empty());
}

TEST_F(ClientStatementsTest, ANameWhoseParseFailsIsGone) {
  names.add("a", x);
  names.undo(1);
  EXPECT_EQ(names.find("a"), nullptr);
}

TEST_F(ClientStatementsTest, ACloseBehindOneThatIsUndoneTakesTheName) {
  names.add("a", x);
  names.confirm_one();
  names.close("a");
  names.close("a");  // behind the Sync
  names.undo(1);
  EXPECT_EQ(names.find("a"), nullptr);
  names.undo(1);
  EXPECT_EQ(names.find("a"), x) << "it has failed as well";
  names.close("a");
  names.close("a");
  names.undo(1);
  names.confirm_one();
  EXPECT_EQ(names.find("a"), nullptr);
}

TEST_F(ClientStatementsTest, OnlyTheFailedBatchIsUndone) {
  names.add("a", x);
  names.confirm_one();
  names.add("b", x);
  names.add("c", y);
  names.add("next", y);  // behind the Sync
  names.undo(2);
  EXPECT_EQ(names.find("a"), x);
  EXPECT_EQ(names.find("b"), nullptr);
  EXPECT_EQ(names.find("c"), nullptr);
  EXPECT_EQ(names.find("next"), y);
  names.undo(1);
  EXPECT_EQ(names.find("next"), nullptr);
}

TEST_F(ClientStatementsTest, ANameIsGoneAsSoonAsItsCloseIsSent) {
  names.add("a", x);
  names.confirm_one();
  names.close("a");
  EXPECT_EQ(names.find("a"), nullptr);
  names.confirm_one();
  EXPECT_EQ(names.find("a"), nullptr);
  names.undo(5);
  EXPECT_EQ(names.find("a"), nullptr) << "what has been answered stays as it is";
}

TEST_F(ClientStatementsTest, ACloseThatIsSkippedLeavesTheName) {
  names.add("a", x);
  names.confirm_one();
  names.close("a");
  names.undo(1);
  EXPECT_EQ(names.find("a"), x);
}

TEST_F(ClientStatementsTest, ClosingWhatIsNotThereCountsToo) {
  names.add("a", x);
  names.confirm_one();
  names.close("nobody");
  names.close("a");
  names.confirm_one();
  names.undo(1);
  EXPECT_EQ(names.find("a"), x);
  EXPECT_EQ(names.find("nobody"), nullptr);
}

TEST_F(ClientStatementsTest, ANameClosedAndGivenAnewInABatchThatFailsMeansWhatItMeantBefore) {
  for (const auto& again : {y, x}) {
    ClientStatements mine;
    mine.add("a", x);
    mine.confirm_one();
    mine.close("a");
    mine.add("a", again);
    EXPECT_EQ(mine.find("a"), again);
    mine.undo(2);
    EXPECT_EQ(mine.find("a"), x);
  }
}

TEST_F(ClientStatementsTest, ANameGivenAndClosedInABatchThatFailsWasNeverThere) {
  names.add("a", x);
  names.close("a");
  names.add("a", y);
  names.undo(3);
  EXPECT_EQ(names.find("a"), nullptr);
}

TEST_F(ClientStatementsTest, WhatTheBatchHadDoneBeforeItFailedStays) {
  names.add("a", x);
  names.close("a");
  names.add("a", y);
  names.confirm_one();
  names.confirm_one();
  names.undo(1);
  EXPECT_EQ(names.find("a"), nullptr) << "closed, and not given anew";
}

TEST_F(ClientStatementsTest, DeallocateAllLeavesTheNamesBehindIt) {
  names.add("a", x);
  names.confirm_one();
  names.add("b", y);  // its Parse comes behind DEALLOCATE ALL
  names.clear();
  EXPECT_EQ(names.find("a"), nullptr);
  EXPECT_EQ(names.find("b"), y);
  names.confirm_one();
  names.clear();
  EXPECT_TRUE(names.empty());
}

TEST_F(ClientStatementsTest, ACloseSkippedBehindDeallocateAllBringsNothingBack) {
  names.add("a", x);
  names.confirm_one();
  names.close("a");
  names.clear();
  names.undo(1);
  EXPECT_EQ(names.find("a"), nullptr);
}

TEST_F(ClientStatementsTest, HasABound) {
  for (std::size_t i = 0; i < ClientStatements::kNamesMax; ++i) {
    EXPECT_FALSE(names.full());
    names.add(std::to_string(i), x);
    names.confirm_one();
  }
  EXPECT_TRUE(names.full());
  names.remove("7");
  EXPECT_FALSE(names.full());
}

}  // namespace
}  // namespace penstock::session
