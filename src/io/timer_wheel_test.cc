#include "io/timer_wheel.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.h"

namespace penstock::io {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr base::TimePoint kStart{std::chrono::seconds(1'000)};

// A timer that counts, and does what the test wants when it fires.
struct Probe {
  Timer timer = Timer::calling<&Probe::on_fire>(this);
  int fired = 0;
  std::function<void()> action = [] {};
  void on_fire() {
    ++fired;
    action();
  }
};

TEST(TimerWheel, FiresOnceAtTheDeadlineAndNotBefore) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.arm(probe.timer, kStart + milliseconds(10));
  wheel.advance(kStart + milliseconds(9));
  EXPECT_EQ(probe.fired, 0);
  EXPECT_TRUE(probe.timer.armed());
  wheel.advance(kStart + milliseconds(10));
  EXPECT_EQ(probe.fired, 1);
  EXPECT_FALSE(probe.timer.armed());
  wheel.advance(kStart + milliseconds(1'000));
  EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, RoundsADeadlineBetweenTicksUp) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.arm(probe.timer, kStart + microseconds(1'300));
  EXPECT_EQ(wheel.next_deadline(), kStart + milliseconds(2));
  wheel.advance(kStart + microseconds(1'299));
  EXPECT_EQ(probe.fired, 0);
  wheel.advance(kStart + milliseconds(2));
  EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, FiresAPastDeadlineOnTheNextAdvanceEvenWithoutTimePassing) {
  TimerWheel wheel(kStart);
  wheel.advance(kStart + milliseconds(50));
  Probe probe;
  wheel.arm(probe.timer, kStart + milliseconds(20));
  EXPECT_LE(wheel.next_deadline(), kStart + milliseconds(50));
  wheel.advance(kStart + milliseconds(50));
  EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, SaysNeverWhenNothingIsArmed) {
  TimerWheel wheel(kStart);
  EXPECT_EQ(wheel.next_deadline(), base::kNever);
  {
    Probe probe;
    wheel.arm(probe.timer, kStart + hours(1));
    EXPECT_NE(wheel.next_deadline(), base::kNever);
  }
  EXPECT_EQ(wheel.next_deadline(), base::kNever) << "a timer that died leaves nothing behind";
}

TEST(TimerWheel, HoldsATimerThatNeverFires) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.arm(probe.timer, base::kNever);
  EXPECT_TRUE(probe.timer.armed());
  EXPECT_GT(wheel.next_deadline(), kStart + hours(24 * 365 * 50));
  wheel.advance(kStart + hours(24 * 365 * 50));
  EXPECT_EQ(probe.fired, 0);
}

TEST(TimerWheel, RearmingMovesTheDeadline) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.arm(probe.timer, kStart + milliseconds(10));
  wheel.arm(probe.timer, kStart + milliseconds(500));
  wheel.advance(kStart + milliseconds(499));
  EXPECT_EQ(probe.fired, 0);
  wheel.arm(probe.timer, kStart + milliseconds(501));
  wheel.advance(kStart + milliseconds(500));
  EXPECT_EQ(probe.fired, 0);
  wheel.advance(kStart + milliseconds(501));
  EXPECT_EQ(probe.fired, 1);
}

TEST(TimerWheel, WakesAtMostOncePerLevelForOneFarTimer) {
  TimerWheel wheel(kStart);
  wheel.advance(kStart + milliseconds(12'345));
  Probe probe;
  const auto deadline = kStart + hours(24 * 3) + milliseconds(17);
  wheel.arm(probe.timer, deadline);
  int wakes = 0;
  while (probe.fired == 0) {
    const auto next = wheel.next_deadline();
    ASSERT_LE(next, deadline);
    wheel.advance(next);
    ASSERT_LE(++wakes, 8);
  }
}

TEST(TimerWheel, FiresInTheOrderOfDeadlinesWhenLate) {
  TimerWheel wheel(kStart);
  std::vector<int> order;
  std::vector<std::unique_ptr<Probe>> probes;
  for (const int ms : {70, 3, 5'000, 64, 63, 4'096, 1}) {
    auto& probe = probes.emplace_back(std::make_unique<Probe>());
    probe->action = [&order, ms] { order.push_back(ms); };
    wheel.arm(probe->timer, kStart + milliseconds(ms));
  }
  wheel.advance(kStart + milliseconds(6'000));
  EXPECT_EQ(order, (std::vector<int>{1, 3, 63, 64, 70, 4'096, 5'000}));
}

TEST(TimerWheel, ACallbackMayArmItselfAgainWithoutEndlessLoop) {
  TimerWheel wheel(kStart);
  Probe probe;
  probe.action = [&] { wheel.arm(probe.timer, kStart); };
  wheel.arm(probe.timer, kStart);
  wheel.advance(kStart + milliseconds(1));
  EXPECT_EQ(probe.fired, 1);
  wheel.advance(kStart + milliseconds(1));
  EXPECT_EQ(probe.fired, 2);
}

TEST(TimerWheel, ACallbackMayCancelAndDestroyOthersDueAtTheSameTime) {
  TimerWheel wheel(kStart);
  Probe first;
  Probe cancelled;
  auto destroyed = std::make_unique<Probe>();
  wheel.arm(first.timer, kStart + milliseconds(5));
  wheel.arm(cancelled.timer, kStart + milliseconds(5));
  wheel.arm(destroyed->timer, kStart + milliseconds(5));
  first.action = [&] {
    cancelled.timer.cancel();
    destroyed.reset();
  };
  wheel.advance(kStart + milliseconds(5));
  EXPECT_EQ(first.fired, 1);
  EXPECT_EQ(cancelled.fired, 0);
  EXPECT_EQ(wheel.next_deadline(), base::kNever);
}

TEST(TimerWheel, ACallbackMayDestroyItsOwnTimer) {
  TimerWheel wheel(kStart);
  std::optional<Timer> timer;
  timer.emplace([](void* owner) { static_cast<std::optional<Timer>*>(owner)->reset(); }, &timer);
  wheel.arm(*timer, kStart + milliseconds(1));
  wheel.advance(kStart + milliseconds(1));
  EXPECT_FALSE(timer.has_value());
}

TEST(TimerWheel, TimersThatOutliveTheWheelAreDisarmed) {
  Probe probe;
  {
    TimerWheel wheel(kStart);
    wheel.arm(probe.timer, kStart + milliseconds(5));
  }
  EXPECT_FALSE(probe.timer.armed());
}

// The wheel against a sorted map, doing the same random things to both.
class AgainstModel {
 public:
  explicit AgainstModel(std::uint64_t seed) : random_(seed), wheel_(kStart) {
    for (std::size_t i = 0; i < kTimers; ++i) {
      auto& probe = probes_.emplace_back(std::make_unique<Probe>());
      probe->action = [this, i] { on_fire(i); };
    }
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      for (auto count = random_.below(8); count > 0; --count) change();
      check_bound();
      move_time();
      wheel_.advance(now_);
      for (const auto& [i, deadline] : model_) {
        ASSERT_GT(deadline + TimerWheel::kTick, now_) << "timer " << i << " is late";
        ASSERT_TRUE(probes_[i]->timer.armed());
      }
    }
  }

 private:
  static constexpr std::size_t kTimers = 40;

  void on_fire(std::size_t i) {
    ASSERT_TRUE(model_.contains(i)) << "fired without being armed";
    ASSERT_LE(model_[i], now_) << "fired early";
    model_.erase(i);
    if (random_.below(3) == 0) change_after_now();
  }

  base::Duration some_duration() {
    return base::Duration(static_cast<std::int64_t>(random_.below(std::uint64_t{1} << random_.below(52))));
  }

  void change() {
    const auto i = random_.below(kTimers);
    if (random_.below(4) == 0) {
      probes_[i]->timer.cancel();
      model_.erase(i);
    } else {
      arm(i, random_.below(10) == 0 ? now_ - some_duration() : now_ + some_duration());
    }
  }

  // In callbacks only deadlines that this advance() cannot reach, to keep the model simple.
  void change_after_now() { arm(random_.below(kTimers), now_ + TimerWheel::kTick + some_duration()); }

  void arm(std::size_t i, base::TimePoint deadline) {
    wheel_.arm(probes_[i]->timer, deadline);
    model_[i] = deadline;
  }

  void check_bound() {
    base::TimePoint earliest = base::kNever;
    for (const auto& [i, deadline] : model_) earliest = std::min(earliest, deadline);
    if (earliest == base::kNever) {
      ASSERT_EQ(wheel_.next_deadline(), base::kNever);
    } else {
      ASSERT_LT(wheel_.next_deadline(), std::max(earliest, now_) + TimerWheel::kTick);
    }
  }

  void move_time() {
    const auto next = wheel_.next_deadline();
    switch (random_.below(3)) {
      case 0:
        now_ += some_duration();
        break;
      case 1:
        now_ += milliseconds(random_.below(3));
        break;
      default:
        if (next != base::kNever) now_ = std::max(now_, next);
    }
  }

  base::SeededRandom random_;
  TimerWheel wheel_;
  base::TimePoint now_ = kStart;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::map<std::size_t, base::TimePoint> model_;
};

TEST(TimerWheel, BehavesLikeASortedMapUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    AgainstModel(seed).run(200);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace penstock::io
