#include "io/timer_wheel.h"

#include <bit>

#include "base/assert.h"

namespace penstock::io {

static_assert(sizeof(Timer) <= 48, "a timer lives in every session: keep it small");

namespace {

constexpr std::uint64_t kNoTick = UINT64_MAX;

}  // namespace

TimerWheel::TimerWheel(base::TimePoint start) : start_(start) {}

// Rounded up, so that no timer fires early.
TimerWheel::Tick TimerWheel::tick_of_deadline(base::TimePoint deadline) const {
  if (deadline <= start_) return 0;
  const auto distance = static_cast<std::uint64_t>(deadline.time_since_epoch().count()) -
                        static_cast<std::uint64_t>(start_.time_since_epoch().count());
  const auto per_tick = static_cast<std::uint64_t>(kTick.count());
  return distance / per_tick + (distance % per_tick != 0 ? 1 : 0);
}

void TimerWheel::arm(Timer& timer, base::TimePoint deadline) {
  timer.cancel();
  timer.deadline_ = deadline;
  const Tick tick = tick_of_deadline(deadline);
  if (tick <= tick_) {
    due_.push_back(timer);
  } else {
    place(timer, tick);
  }
}

// The level is that of the highest digit (base 64) in which `tick` differs from the current one: there the
// wheel has to turn before the digits below matter.
void TimerWheel::place(Timer& timer, Tick tick) {
  const int highest_bit = 63 - std::countl_zero(tick ^ tick_);
  const int level = highest_bit / kSlotBits;
  PENSTOCK_ASSERT(tick > tick_ && level < kLevels);
  const auto slot = (tick >> (level * kSlotBits)) % kSlots;
  levels_[level].slots[slot].push_back(timer);
  levels_[level].maybe_filled |= std::uint64_t{1} << slot;
}

// The next tick at which a timer fires or a slot must be sorted in again; kNoTick when there is none.
TimerWheel::Tick TimerWheel::next_event() const {
  for (int level = 0; level < kLevels; ++level) {
    const Level& wheel = levels_[level];
    while (wheel.maybe_filled != 0) {
      const int slot = std::countr_zero(wheel.maybe_filled);
      if (!wheel.slots[slot].empty()) {
        const int shift = level * kSlotBits;
        const Tick turn = tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
        return turn | static_cast<Tick>(slot) << shift;
      }
      wheel.maybe_filled &= wheel.maybe_filled - 1;
    }
  }
  return kNoTick;
}

base::TimePoint TimerWheel::next_deadline() const {
  const Tick tick = due_.empty() ? next_event() : tick_;
  const auto reach = static_cast<Tick>((base::kNever - start_) / kTick);
  if (tick > reach) return base::kNever;
  return start_ + static_cast<std::int64_t>(tick) * kTick;
}

// Moves all timers due at `until` to `fired`, and the wheel to `until`.
void TimerWheel::collect(Tick until, Slot& fired) {
  fired.splice(fired.end(), due_);
  for (Tick next = next_event(); next <= until; next = next_event()) {
    const int highest_bit = 63 - std::countl_zero(next ^ tick_);
    const int level = highest_bit / kSlotBits;
    const auto slot = (next >> (level * kSlotBits)) % kSlots;
    tick_ = next;
    Slot reached;
    reached.swap(levels_[level].slots[slot]);
    levels_[level].maybe_filled &= ~(std::uint64_t{1} << slot);
    while (!reached.empty()) {
      Timer& timer = reached.front();
      reached.pop_front();
      const Tick tick = tick_of_deadline(timer.deadline_);
      if (tick <= tick_) {
        fired.push_back(timer);
      } else {
        place(timer, tick);
      }
    }
  }
  if (until > tick_) tick_ = until;
}

void TimerWheel::advance(base::TimePoint now) {
  if (now < start_) return;
  Slot fired;
  collect(static_cast<Tick>((now - start_) / kTick), fired);
  // Callbacks may unlink any timer of `fired`, so look only at its front.
  while (!fired.empty()) {
    Timer& timer = fired.front();
    fired.pop_front();
    timer.callback_(timer.owner_);
  }
}

}  // namespace penstock::io
