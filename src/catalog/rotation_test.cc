#include "catalog/rotation.h"

#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr model::WallTime kNow{hours(24 * 20000)};

model::UserSpec user(const char* secret) {
  return {.name = "app", .secret = secret};
}

TEST(Rotation, ANewSecretEndsTheOldOne) {
  model::UserSpec before = user("b");
  before.previous_secret = "a";
  before.previous_secret_until = kNow;
  model::UserSpec after = before;
  after.secret = "c";
  ASSERT_TRUE(settle_previous(before, after, std::nullopt, kNow));
  EXPECT_EQ(after, user("c"));
}

TEST(Rotation, TheOldSecretIsKeptForATime) {
  model::UserSpec after = user("b");
  ASSERT_TRUE(settle_previous(user("a"), after, hours(1), kNow));
  EXPECT_EQ(after.previous_secret, "a");
  EXPECT_EQ(after.previous_secret_until, kNow + hours(1));
}

TEST(Rotation, TheOldSecretIsKeptUntilItIsTakenAway) {
  model::UserSpec before = user("a");
  before.upstream_secret = "x";
  model::UserSpec after = user("b");
  after.upstream_secret = "y";
  ASSERT_TRUE(settle_previous(before, after, milliseconds(0), kNow));
  EXPECT_EQ(after.previous_secret, "a");
  EXPECT_FALSE(after.previous_secret_until);
  EXPECT_EQ(after.previous_upstream_secret, "x");
}

TEST(Rotation, TheSameSecretAgainChangesNothing) {
  model::UserSpec before = user("b");
  before.previous_secret = "a";
  before.previous_secret_until = kNow;
  model::UserSpec after = before;
  ASSERT_TRUE(settle_previous(before, after, hours(1), kNow));
  EXPECT_EQ(after, before);
}

TEST(Rotation, APreviousSecretThatIsGivenStays) {
  model::UserSpec after = user("c");
  after.previous_secret = "z";
  ASSERT_TRUE(settle_previous(user("b"), after, std::nullopt, kNow));
  EXPECT_EQ(after.previous_secret, "z");
}

TEST(Rotation, WithTheSecretGoesThePreviousOne) {
  model::UserSpec before = user("b");
  before.previous_secret = "a";
  model::UserSpec after = before;
  after.secret.reset();
  ASSERT_TRUE(settle_previous(before, after, hours(1), kNow));
  EXPECT_FALSE(after.previous_secret);
}

TEST(Rotation, AnEndWithoutAPreviousSecretIsForgotten) {
  model::UserSpec before = user("b");
  before.previous_secret = "a";
  before.previous_secret_until = kNow;
  model::UserSpec after = before;
  after.previous_secret.reset();
  ASSERT_TRUE(settle_previous(before, after, std::nullopt, kNow));
  EXPECT_FALSE(after.previous_secret_until);
}

TEST(Rotation, NothingCanBeKeptOfNothing) {
  model::UserSpec before = user("a");
  before.secret.reset();
  model::UserSpec after = user("b");
  const auto status = settle_previous(before, after, hours(1), kNow);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "there is no old secret that could be kept");
}

}  // namespace
}  // namespace penstock::catalog
