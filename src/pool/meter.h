// Meter spreads work over time and over all workers: so much in a second on average, and after a pause a second's
// worth at once. Who goes beyond is told until when to wait.
//
// Without it a tenant's limits per second would need a lock for each query, or would be one limit per worker.
//
// Owner:      Meters, one for each tenant; shared by its pools.
// Home:       SYNC (one compare-and-swap)
// Invariants: in any time t no more than (1 s + t) * per_second is let through, if whoever is told to wait does.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"

namespace penstock::pool {

class Meter {
 public:
  // From when on `amount` may be done: now, or later. With `latest`: nothing is counted, and nothing returned,
  // when it would be later than that.
  base::TimePoint charge(base::TimePoint now, std::int64_t amount, int per_second) {
    return *charge(now, amount, per_second, base::kNever);
  }
  std::optional<base::TimePoint> charge(base::TimePoint now, std::int64_t amount, int per_second,
                                        base::TimePoint latest);

 private:
  static constexpr std::int64_t kBurstNs = 1'000'000'000;
  void follow_rate(std::int64_t now, int per_second);

  std::atomic<std::int64_t> paid_until_{0};  // when what was let through would be over, evenly spaced; ns
  std::atomic<int> rate_{0};                 // that paid_until_ is about
};

// Of one tenant.
struct Meters {
  Meter logins;
  Meter queries;
  Meter bytes;
};
using MetersPtr = std::shared_ptr<Meters>;

}  // namespace penstock::pool
