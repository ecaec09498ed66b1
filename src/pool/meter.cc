#include "pool/meter.h"

#include <algorithm>

namespace penstock::pool {

std::optional<base::TimePoint> Meter::charge(base::TimePoint now, std::int64_t amount, int per_second,
                                             base::TimePoint latest) {
  if (per_second <= 0) return now;
  const std::int64_t current = now.time_since_epoch().count();
  follow_rate(current, per_second);
  const std::int64_t cost = amount * 1'000'000'000 / per_second;
  std::int64_t paid = paid_until_.load(std::memory_order_relaxed);
  std::int64_t next = 0;
  do {
    next = std::max(paid, current - kBurstNs) + cost;
    if (next > current && next > latest.time_since_epoch().count()) return std::nullopt;
  } while (!paid_until_.compare_exchange_weak(paid, next, std::memory_order_relaxed));
  return base::TimePoint(base::Duration(std::max(current, next)));
}

// What was owed at another rate is forgiven.
void Meter::follow_rate(std::int64_t now, int per_second) {
  if (rate_.load(std::memory_order_relaxed) == per_second) return;
  const int before = rate_.exchange(per_second, std::memory_order_relaxed);
  if (before != per_second && before != 0) paid_until_.store(now, std::memory_order_relaxed);
}

}  // namespace penstock::pool
