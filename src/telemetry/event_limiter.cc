#include "telemetry/event_limiter.h"

namespace penstock::telemetry::log {

EventLimiter::Slot& EventLimiter::slot_for(Literal event) {
  for (std::size_t step = 0; step < kKinds; ++step) {
    Slot& slot = slots_[(event.hash() + step) % kKinds];
    std::uint64_t owner = slot.hash.load(std::memory_order_acquire);
    if (owner == event.hash()) return slot;
    if (owner != 0) continue;
    if (slot.hash.compare_exchange_strong(owner, event.hash(), std::memory_order_acq_rel)) {
      slot.name.store(event.text().data(), std::memory_order_release);
      return slot;
    }
    if (owner == event.hash()) return slot;
  }
  return slots_[0];
}

bool EventLimiter::admit(Literal event, std::uint32_t now) {
  const std::uint32_t limit = limit_.load(std::memory_order_relaxed);
  if (limit == 0) return true;
  Slot& slot = slot_for(event);
  std::uint64_t window = slot.window.load(std::memory_order_relaxed);
  while (true) {
    const bool same_second = window >> 32 == now;
    const std::uint64_t used = same_second ? window & 0xFFFFFFFF : 0;
    if (used >= limit) break;
    const std::uint64_t next = (static_cast<std::uint64_t>(now) << 32) | (used + 1);
    if (slot.window.compare_exchange_weak(window, next, std::memory_order_relaxed)) return true;
  }
  slot.suppressed.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void EventLimiter::take_suppressed(
    std::uint32_t now, const std::function<void(std::string_view event, std::uint64_t count)>& tell) {
  for (Slot& slot : slots_) {
    const char* name = slot.name.load(std::memory_order_acquire);
    if (name == nullptr || slot.suppressed.load(std::memory_order_relaxed) == 0) continue;
    if (slot.window.load(std::memory_order_relaxed) >> 32 == now) continue;  // still counting
    const std::uint64_t count = slot.suppressed.exchange(0, std::memory_order_relaxed);
    if (count > 0) tell(name, count);
  }
}

}  // namespace penstock::telemetry::log
