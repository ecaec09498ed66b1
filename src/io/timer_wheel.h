// TimerWheel holds all timers of one worker: arming and cancelling are O(1), idle timers cost nothing.
//
// Owner:      Loop, by value. A Timer lives inside the object it belongs to and disarms itself when that dies.
// Home:       LOOP
// Invariants: 1. A timer fires once per arming, never before its deadline.
//             2. Timers fire at most one tick (kTick) plus one loop turn after their deadline.
//             3. A callback may arm, cancel or destroy any timer, its own included.
// Bounds:     deadlines beyond the wheel's reach are parked in its last level and sorted in again later.
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

  // Arms the timer, moving it if it was armed already. A deadline in the past fires on the next advance().
  void arm(Timer& timer, base::TimePoint deadline);
  // A lower bound for the next deadline; kNever when nothing is armed.
  base::TimePoint next_deadline() const;
  // Fires everything due at `now`. `now` never goes backwards.
  void advance(base::TimePoint now);

 private:
  // (the implementation's own state)
};

}  // namespace penstock::io
