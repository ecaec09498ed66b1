#include "io/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::io {
namespace {

// Something to wait for: resumes whoever awaits it, and forgets him when his frame dies.
class Gate {
 public:
  class Awaiter {
   public:
    explicit Awaiter(Gate& gate) : gate_(gate) {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    ~Awaiter() {
      if (gate_.waiter_ == handle_) gate_.waiter_ = {};
    }
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { gate_.waiter_ = handle_ = handle; }
    int await_resume() const { return gate_.value_; }

   private:
    Gate& gate_;
    std::coroutine_handle<> handle_;
  };

  Awaiter operator co_await() { return Awaiter(*this); }
  bool awaited() const { return static_cast<bool>(waiter_); }
  void open(int value) {
    value_ = value;
    std::exchange(waiter_, {}).resume();
  }

 private:
  std::coroutine_handle<> waiter_;
  int value_ = 0;
};

// Says when it dies.
struct Witness {
  bool* dead;
  explicit Witness(bool& flag) : dead(&flag) {}
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  ~Witness() { *dead = true; }
};

Task<int> seven() {
  co_return 7;
}
Task<> count_up(int& counter) {
  ++counter;
  co_return;
}
Task<int> sum_of_two(Gate& gate) {
  const int first = co_await gate;
  const int second = co_await gate;
  co_return first + second;
}
Task<std::string> nested(Gate& gate) {
  const int sum = co_await sum_of_two(gate);
  const int more = co_await seven();
  co_return std::to_string(sum + more);
}

TEST(Task, RunsNothingBeforeItIsStarted) {
  int counter = 0;
  Task<> task = count_up(counter);
  EXPECT_EQ(counter, 0);
  bool done = false;
  task.start([&] { done = true; });
  EXPECT_EQ(counter, 1);
  EXPECT_TRUE(done);
  EXPECT_TRUE(task.done());
}

TEST(Task, ThatIsNeverStartedDiesQuietly) {
  int counter = 0;
  {
    Task<> task = count_up(counter);
  }
  EXPECT_EQ(counter, 0);
}

TEST(Task, HandsOverItsResult) {
  Task<int> task = seven();
  bool done = false;
  task.start([&] { done = true; });
  ASSERT_TRUE(done);
  EXPECT_EQ(task.take_result(), 7);
}

TEST(Task, CallsOnDoneOnceAtTheEndAndNotBefore) {
  Gate gate;
  Task<int> task = sum_of_two(gate);
  int calls = 0;
  task.start([&] { ++calls; });
  EXPECT_EQ(calls, 0);
  gate.open(1);
  EXPECT_EQ(calls, 0);
  gate.open(2);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(task.take_result(), 3);
}

TEST(Task, AwaitsOtherTasks) {
  Gate gate;
  Task<std::string> task = nested(gate);
  bool done = false;
  task.start([&] { done = true; });
  gate.open(10);
  gate.open(20);
  ASSERT_TRUE(done);
  EXPECT_EQ(task.take_result(), "37");
}

Task<std::unique_ptr<int>> boxed(int value) {
  co_return std::make_unique<int>(value);
}
Task<int> unboxed() {
  const std::unique_ptr<int> box = co_await boxed(5);
  co_return *box;
}

TEST(Task, CarriesResultsThatCanOnlyBeMoved) {
  Task<int> task = unboxed();
  task.start([] {});
  EXPECT_EQ(task.take_result(), 5);
}

Task<> wait_with(Gate& gate, bool& dead) {
  const Witness witness(dead);
  (void)co_await gate;
}
Task<> wait_inside(Gate& gate, bool& inner_dead, bool& outer_dead) {
  const Witness witness(outer_dead);
  co_await wait_with(gate, inner_dead);
}

TEST(Task, DestroyedAtAnAwaitPointTakesItsWholeChainAlongAndLeavesNoWaiter) {
  Gate gate;
  bool inner_dead = false;
  bool outer_dead = false;
  bool done = false;
  {
    Task<> task = wait_inside(gate, inner_dead, outer_dead);
    task.start([&] { done = true; });
    ASSERT_TRUE(gate.awaited());
    EXPECT_FALSE(inner_dead);
  }
  EXPECT_TRUE(inner_dead);
  EXPECT_TRUE(outer_dead);
  EXPECT_FALSE(gate.awaited());
  EXPECT_FALSE(done) << "on_done is not for tasks that were destroyed";
}

TEST(Task, MayBeDestroyedByItsOwnOnDone) {
  Gate gate;
  bool dead = false;
  std::optional<Task<>> task(wait_with(gate, dead));
  task->start([&] { task.reset(); });
  gate.open(0);
  EXPECT_TRUE(dead);
  EXPECT_FALSE(task.has_value());
}

TEST(Task, MayBeDestroyedByItsOwnOnDoneWhenItNeverSuspends) {
  int counter = 0;
  std::optional<Task<>> task(count_up(counter));
  task->start([&] { task.reset(); });
  EXPECT_EQ(counter, 1);
  EXPECT_FALSE(task.has_value());
}

TEST(Task, AnAwaitedTasksFrameDiesBeforeTheNextStatement) {
  Gate gate;
  bool dead = false;
  struct Outer {
    static Task<> run(Gate& gate, bool& dead, bool& dead_in_time) {
      co_await wait_with(gate, dead);
      dead_in_time = dead;
    }
  };
  bool dead_in_time = false;
  Task<> task = Outer::run(gate, dead, dead_in_time);
  task.start([] {});
  gate.open(0);
  EXPECT_TRUE(dead_in_time);
}

Task<int> many(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await seven();
  co_return sum;
}

TEST(Task, AwaitingAMillionTasksInARowNeedsNoStack) {
  Task<int> task = many(1'000'000);
  task.start([] {});
  EXPECT_EQ(task.take_result(), 7'000'000);
}

TEST(Task, MovesWithItsFrame) {
  Gate gate;
  Task<int> first = sum_of_two(gate);
  bool done = false;
  first.start([&] { done = true; });
  Task<int> second = std::move(first);
  EXPECT_FALSE(static_cast<bool>(first));
  gate.open(1);
  gate.open(1);
  EXPECT_TRUE(done);
  EXPECT_EQ(second.take_result(), 2);
}

TEST(Task, SeveralWaitIndependently) {
  std::vector<std::unique_ptr<Gate>> gates;
  std::vector<Task<int>> tasks;
  int done = 0;
  for (int i = 0; i < 50; ++i) {
    gates.push_back(std::make_unique<Gate>());
    tasks.push_back(sum_of_two(*gates.back()));
    tasks.back().start([&] { ++done; });
  }
  for (auto gate = gates.rbegin(); gate != gates.rend(); ++gate) (*gate)->open(3);
  EXPECT_EQ(done, 0);
  for (auto& gate : gates) gate->open(4);
  EXPECT_EQ(done, 50);
  for (auto& task : tasks) EXPECT_EQ(task.take_result(), 7);
}

}  // namespace
}  // namespace penstock::io
