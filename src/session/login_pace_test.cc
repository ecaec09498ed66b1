#include "session/login_pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "io/sim_loop.h"
#include "io/sim_world.h"
#include "io/task.h"

namespace penstock::session {
namespace {

class LoginPaceTest : public ::testing::Test {
 public:
  io::Task<> log_in(int number) {
    co_await pace.step();
    done.push_back(number);
  }
  void begin(int count) {
    for (int i = 0; i < count; ++i) {
      tasks.push_back(std::make_unique<io::Task<>>(log_in(static_cast<int>(tasks.size()))));
      tasks.back()->start([] {});
    }
  }
  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> loop = world.make_loop("worker");
  LoginPace pace{*loop};
  std::vector<std::unique_ptr<io::Task<>>> tasks;
  std::vector<int> done;
};

TEST_F(LoginPaceTest, LetsAFewThroughAtOnce) {
  begin(LoginPace::kStepsPerTurn);
  EXPECT_EQ(done.size(), std::size_t{LoginPace::kStepsPerTurn});
}

TEST_F(LoginPaceTest, TheRestComesInLaterTurnsInOrder) {
  begin(100);
  EXPECT_EQ(done.size(), std::size_t{LoginPace::kStepsPerTurn});
  world.run_until(world.now() + std::chrono::milliseconds(100));
  ASSERT_EQ(done.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(done));
}

TEST_F(LoginPaceTest, ALogInThatDiesLeavesTheQueue) {
  begin(50);
  tasks[20].reset();
  tasks[49].reset();
  world.run_until(world.now() + std::chrono::milliseconds(100));
  EXPECT_EQ(done.size(), 48U);
}

}  // namespace
}  // namespace penstock::session
