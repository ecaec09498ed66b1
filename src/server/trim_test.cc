#include "server/trim.h"

#include <gtest/gtest.h>

namespace penstock::server {
namespace {

using std::chrono::seconds;

class TrimPolicyTest : public ::testing::Test {
 public:
  bool after(base::Duration time, int clients) { return policy.should_trim(now += time, clients); }
  TrimPolicy policy;
  base::TimePoint now{};
};

TEST_F(TrimPolicyTest, TrimsOnceAfterManyHaveLeftForGood) {
  EXPECT_FALSE(after(seconds(1), 10'000));
  EXPECT_FALSE(after(seconds(1), 100));
  EXPECT_FALSE(after(seconds(5), 100));
  EXPECT_TRUE(after(seconds(5), 120));
  EXPECT_FALSE(after(seconds(10), 120));
  EXPECT_FALSE(after(seconds(60), 120));
}

TEST_F(TrimPolicyTest, WaitsWhileClientsComeBack) {
  EXPECT_FALSE(after(seconds(1), 10'000));
  EXPECT_FALSE(after(seconds(1), 0));
  EXPECT_FALSE(after(seconds(5), 9'900));
  EXPECT_FALSE(after(seconds(5), 9'900));
  EXPECT_FALSE(after(seconds(100), 9'900));
}

TEST_F(TrimPolicyTest, LeavesSmallChangesAlone) {
  EXPECT_FALSE(after(seconds(1), 600));
  EXPECT_FALSE(after(seconds(1), 200));
  EXPECT_FALSE(after(seconds(100), 200));
}

}  // namespace
}  // namespace penstock::server
