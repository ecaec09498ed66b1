#include <benchmark/benchmark.h>

#include <deque>

#include "base/random.h"
#include "io/timer_wheel.h"

namespace penstock::io {
namespace {

constexpr base::TimePoint kStart{std::chrono::seconds(1)};

// A query's timeout: armed, then cancelled before it fires; `range(0)` other timers sit in the wheel.
void arm_and_cancel(benchmark::State& state) {
  TimerWheel wheel(kStart);
  base::SeededRandom random(1);
  std::deque<Timer> idle;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    Timer& timer = idle.emplace_back([](void*) {}, nullptr);
    wheel.arm(timer, kStart + std::chrono::milliseconds(random.below(3'600'000)));
  }
  Timer timer([](void*) {}, nullptr);
  for (auto _ : state) {
    wheel.arm(timer, kStart + std::chrono::milliseconds(30'000));
    timer.cancel();
  }
}
BENCHMARK(arm_and_cancel)->Arg(0)->Arg(1'000'000);

// One loop turn: ask for the next deadline and advance by a little.
void turn(benchmark::State& state) {
  TimerWheel wheel(kStart);
  base::SeededRandom random(1);
  std::deque<Timer> idle;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    Timer& timer = idle.emplace_back([](void*) {}, nullptr);
    wheel.arm(timer, kStart + std::chrono::hours(1) + std::chrono::milliseconds(random.below(3'600'000)));
  }
  auto now = kStart;
  for (auto _ : state) {
    benchmark::DoNotOptimize(wheel.next_deadline());
    wheel.advance(now += std::chrono::microseconds(20));
  }
}
BENCHMARK(turn)->Arg(0)->Arg(1'000'000);

// A timer that fires and arms itself again, a minute ahead: the whole way down the levels.
void fire(benchmark::State& state) {
  TimerWheel wheel(kStart);
  Timer timer([](void*) {}, nullptr);
  auto now = kStart;
  for (auto _ : state) {
    wheel.arm(timer, now += std::chrono::milliseconds(60'000));
    wheel.advance(now);
  }
}
BENCHMARK(fire);

}  // namespace
}  // namespace penstock::io
