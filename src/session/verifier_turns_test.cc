#include "session/verifier_turns.h"

#include <gtest/gtest.h>

namespace penstock::session {
namespace {

using std::chrono::seconds;

class VerifierTurnsTest : public ::testing::Test {
 public:
  std::size_t turn() const { return turns.turn_of(source); }
  bool failed(std::size_t turn) { return turns.failed(source, turn, limit, now); }
  bool may_guess(std::size_t turn) const { return turns.may_guess(source, turn, limit, now); }

  VerifierTurns turns;
  VerifierTurns::Source source{.tenant = "acme", .user = "alice", .site = "192.0.2.1"};
  VerifierTurns::Limit limit{.failures = 3, .window = seconds(100)};
  base::TimePoint now{seconds(1000)};
};

TEST_F(VerifierTurnsTest, MoveOnOnceForAllThatWereUnderWayTogether) {
  EXPECT_EQ(turn(), 0U);
  for (int i = 0; i < 4; ++i) failed(0);
  EXPECT_EQ(turn(), 1U);
  turns.succeeded(source, 1);
  EXPECT_EQ(turn(), 1U) << "it stays with what fits";
}

TEST_F(VerifierTurnsTest, AreOfEachUserAndSite) {
  failed(0);
  EXPECT_EQ(turns.turn_of({.tenant = "acme", .user = "alice", .site = "192.0.2.2"}), 0U);
  EXPECT_EQ(turns.turn_of({.tenant = "acme", .user = "bob", .site = "192.0.2.1"}), 0U);
  EXPECT_EQ(turns.turn_of({.tenant = "globex", .user = "alice", .site = "192.0.2.1"}), 0U);
}

TEST_F(VerifierTurnsTest, APasswordIsWrongWhenItHasFailedUnderEach) {
  EXPECT_FALSE(failed(0));
  EXPECT_TRUE(failed(1));
  EXPECT_FALSE(failed(2));
  EXPECT_FALSE(failed(2));
  EXPECT_TRUE(failed(3));
  EXPECT_TRUE(failed(3));
  EXPECT_FALSE(failed(3));
}

TEST_F(VerifierTurnsTest, UnderOneNoMoreAreCheckedThanWrongPasswordsAreAllowed) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(may_guess(0));
    failed(0);
  }
  EXPECT_FALSE(may_guess(0));
  EXPECT_FALSE(may_guess(2));
  EXPECT_TRUE(may_guess(1));
  for (int i = 0; i < 50; ++i) failed(0);  // without having been checked
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(failed(1));
  EXPECT_FALSE(failed(1));
  now += seconds(101);
  EXPECT_TRUE(may_guess(1));
}

TEST_F(VerifierTurnsTest, AreForgivenToWhoSucceedsUnderTheOther) {
  for (int i = 0; i < 3; ++i) failed(0);
  turns.succeeded(source, 0);
  EXPECT_FALSE(may_guess(0)) << "that was another client";
  turns.succeeded(source, 1);
  EXPECT_TRUE(may_guess(0));
}

TEST_F(VerifierTurnsTest, FailuresOfLongAgoDoNotCount) {
  EXPECT_FALSE(failed(0));
  now += seconds(101);
  EXPECT_FALSE(failed(1));
}

TEST_F(VerifierTurnsTest, WithoutALimitOnlyTurnsAreTaken) {
  limit.failures = 0;
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_FALSE(failed(i));
    EXPECT_EQ(turn(), i + 1);
    EXPECT_TRUE(may_guess(i));
  }
}

TEST_F(VerifierTurnsTest, ManySitesTakeNoMoreThanSoMuchRoomAndForgetTheOldestOnly) {
  failed(0);
  for (std::size_t i = 1; i < VerifierTurns::kEntriesMax; ++i) {
    const std::string site = std::to_string(i);
    turns.failed({.tenant = "acme", .user = "alice", .site = site}, 0, limit, now);
  }
  failed(turn());
  turns.failed({.tenant = "acme", .user = "alice", .site = "one more"}, 0, limit, now);
  EXPECT_EQ(turns.size(), VerifierTurns::kEntriesMax);
  EXPECT_EQ(turn(), 2U);
  EXPECT_EQ(turns.turn_of({.tenant = "acme", .user = "alice", .site = "1"}), 0U);
  EXPECT_EQ(turns.turn_of({.tenant = "acme", .user = "alice", .site = "2"}), 1U);
}

}  // namespace
}  // namespace penstock::session
