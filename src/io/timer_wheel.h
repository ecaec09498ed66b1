// TimerWheel holds all timers of one worker: arming and cancelling are O(1), idle timers cost nothing.
//
// Owner:      Loop, by value. A Timer lives inside the object it belongs to and disarms itself when that
//             dies.
// Home:       LOOP
// Invariants: 1. A timer fires once per arming, never before its deadline.
//             2. Timers fire at most one tick (kTick) plus one loop turn after their deadline.
//             3. A callback may arm, cancel or destroy any timer, its own included.
//             4. Every timer sits in a slot after the current tick of its level, or in `due_`. Hence the
//                lowest level that is not empty holds the next deadline.
// Bounds:     kLevels × 64 slots of 16 bytes (8 KiB); their reach is all of base::TimePoint. A timer is
//             sorted in again at most once per level on its way down, whatever its deadline.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "base/intrusive_list.h"

namespace penstock::io {

class TimerWheel;

class Timer : public base::ListHook<TimerWheel> {
 public:
  using Callback = void (*)(void* owner);
  Timer(Callback callback, void* owner) : callback_(callback), owner_(owner) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // A timer that calls a member function: Timer timer_ = Timer::calling<&Session::on_timeout>(this);
  template <auto Method, class T>
  static Timer calling(T* object) {
    return Timer([](void* owner) { (static_cast<T*>(owner)->*Method)(); }, object);
  }

  bool armed() const { return this->is_linked(); }
  base::TimePoint deadline() const { return deadline_; }
  void cancel() {
    if (this->is_linked()) this->unlink();
  }

 private:
  friend class TimerWheel;

  Callback callback_;
  void* owner_;
  base::TimePoint deadline_{};
};

class TimerWheel {
 public:
  static constexpr base::Duration kTick = std::chrono::milliseconds(1);

  explicit TimerWheel(base::TimePoint start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms the timer, moving it if it was armed already. A deadline in the past fires on the next advance().
  void arm(Timer& timer, base::TimePoint deadline);
  // When advance() is wanted next: at the latest one tick after the earliest deadline, sometimes earlier (to
  // sort far timers in again), never later. kNever when nothing is armed.
  base::TimePoint next_deadline() const;
  // Fires everything due at `now`, in the order of deadlines (to the tick). `now` never goes backwards. What
  // a callback arms, even in the past, waits for the next advance(). Not to be called from a callback.
  void advance(base::TimePoint now);

 private:
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr int kLevels = 8;  // 2^48 ticks; a TimePoint reaches no further than 2^44 from any start
  using Tick = std::uint64_t;
  using Slot = base::List<Timer, TimerWheel>;

  struct Level {
    std::array<Slot, kSlots> slots;
    // Bit i: slot i may hold a timer. Set by arm(), cleared once found empty: a timer that dies cannot clear
    // it.
    mutable std::uint64_t maybe_filled = 0;
  };

  Tick tick_of_deadline(base::TimePoint deadline) const;
  void place(Timer& timer, Tick tick);
  Tick next_event() const;
  void collect(Tick until, Slot& fired);

  base::TimePoint start_;
  Tick tick_ = 0;  // all timers up to this one have fired or are in due_
  Slot due_;       // armed with a deadline already past
  std::array<Level, kLevels> levels_;
};

}  // namespace penstock::io
