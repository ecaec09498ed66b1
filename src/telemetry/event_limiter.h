// EventLimiter lets through so many events of one kind per second and counts the rest.
//
// Without it, whoever can cause an event (a wrong password) could fill the disk with it.
//
// Owner:      the log.
// Home:       SYNC (atomics; any thread).
// Invariants: every event is let through, or counted as suppressed and told once, by admit() or
//             take_suppressed().
// Bounds:     kKinds kinds of event; further ones share one budget.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

#include "telemetry/log_line.h"

namespace penstock::telemetry::log {

class EventLimiter {
 public:
  static constexpr std::size_t kKinds = 512;

  // 0: no limit.
  void set_limit(std::uint32_t events_per_second) {
    limit_.store(events_per_second, std::memory_order_relaxed);
  }

  // Whether this event may be written. `now` in seconds.
  bool admit(Literal event, std::uint32_t now);
  // Calls `tell` for each kind of which something was suppressed before the second `now`, once.
  void take_suppressed(std::uint32_t now,
                       const std::function<void(std::string_view event, std::uint64_t count)>& tell);

 private:
  struct Slot {
    std::atomic<std::uint64_t> hash{0};  // 0: free
    std::atomic<const char*> name{nullptr};
    std::atomic<std::uint64_t> window{0};  // second << 32 | events let through in it
    std::atomic<std::uint64_t> suppressed{0};
  };

  Slot& slot_for(Literal event);

  std::atomic<std::uint32_t> limit_{0};
  std::array<Slot, kKinds> slots_;
};

}  // namespace penstock::telemetry::log
