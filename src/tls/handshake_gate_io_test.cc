#include <gtest/gtest.h>

#include <vector>

#include "io/task.h"
#include "tls/handshake_gate.h"

namespace penstock::tls {
namespace {

using std::chrono::milliseconds;

TEST(TokenBucket, GivesABurstAndThenItsRate) {
  base::TimePoint now{};
  TokenBucket bucket(100, 3, now);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now)) << i;
  EXPECT_FALSE(bucket.take(now));
  EXPECT_EQ(bucket.next(now), now + milliseconds(10));
  EXPECT_FALSE(bucket.take(now + milliseconds(9)));
  EXPECT_TRUE(bucket.take(now + milliseconds(10)));
  EXPECT_FALSE(bucket.take(now + milliseconds(10)));
  now += std::chrono::hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now)) << i;
  EXPECT_FALSE(bucket.take(now));
}

TEST(TokenBucket, WithoutARateIsNeverEmpty) {
  TokenBucket bucket(0, 1, {});
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(bucket.take({}));
}

io::Task<void> enter(HandshakeGate& gate, base::TimePoint deadline, int number, std::vector<int>& order) {
  const base::Status admitted = co_await gate.pass(deadline);
  order.push_back(admitted ? number : -number);
}

class HandshakeGateTest : public ::testing::TestWithParam<io::Backend> {
 protected:
  void SetUp() override {
    auto choice = io::make_loop(GetParam(), random_);
    if (!choice) GTEST_SKIP() << choice.error().to_string();
    loop_ = std::move(choice->loop);
  }
  base::SystemRandom random_;
  std::unique_ptr<io::Loop> loop_;
};

TEST_P(HandshakeGateTest, AdmitsInOrderAndRejectsAtTheDeadline) {
  std::vector<int> order;
  std::vector<io::Task<void>> tasks;
  std::optional<HandshakeGate> gate;
  struct Stop {
    io::Loop& loop;
    io::Timer timer = io::Timer::calling<&Stop::fire>(this);
    void fire() { loop.stop(); }
  } stop{*loop_};
  loop_->post([&] {
    gate.emplace(*loop_, 20);  // two at once, then one every 50 ms
    const base::TimePoint now = loop_->now();
    for (const int number : {1, 2, 3, 4, 5, 6}) {
      const base::TimePoint deadline = number == 4 ? now + milliseconds(20) : now + milliseconds(1000);
      tasks.push_back(enter(*gate, deadline, number, order));
      tasks.back().start([] {});
    }
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
    tasks[4] = {};  // 5 leaves the queue
    loop_->timers().arm(stop.timer, now + milliseconds(300));
  });
  loop_->run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, -4, 3, 6}));
  EXPECT_EQ(gate->delayed(), 4u);
  EXPECT_EQ(gate->rejected(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Loops, HandshakeGateTest,
                         ::testing::Values(io::Backend::kEpoll, io::Backend::kIoUring), [](const auto& info) {
                           return info.param == io::Backend::kEpoll ? "epoll" : "io_uring";
                         });

}  // namespace
}  // namespace penstock::tls
