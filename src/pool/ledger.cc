#include "pool/ledger.h"

#include <algorithm>

namespace penstock::pool {

Reservation Reservation::take(const std::vector<ScopeLimit>& scopes, const Scope** full) {
  Reservation reservation;
  for (const ScopeLimit& entry : scopes) {
    int open = entry.scope->open.load(std::memory_order_relaxed);
    do {
      if (entry.limit > 0 && open >= entry.limit) {
        if (full != nullptr) *full = entry.scope.get();
        return {};  // the destructor gives back what was taken so far
      }
    } while (!entry.scope->open.compare_exchange_weak(open, open + 1, std::memory_order_relaxed));
    reservation.scopes_.push_back(entry.scope);
  }
  return reservation;
}

Reservation::~Reservation() {
  for (const ScopePtr& scope : scopes_) scope->open.fetch_sub(1, std::memory_order_relaxed);
}

ScopePtr Ledger::scope(const std::string& name) {
  return scopes_.find_or_make(name, [&] {
    auto scope = std::make_shared<Scope>();
    scope->name = name;
    return scope;
  });
}

PacePtr Ledger::pace(const std::string& name) {
  return paces_.find_or_make(name, [] { return std::make_shared<Pace>(); });
}

bool Pace::take(base::TimePoint now, int per_second) {
  if (per_second <= 0) return true;
  const std::int64_t gap = 1'000'000'000 / per_second;
  // Below ten in a second, one attempt at a time.
  const std::int64_t burst = std::max<std::int64_t>(kBurst.count(), gap);
  const std::int64_t current = now.time_since_epoch().count();
  std::int64_t last = last_.load(std::memory_order_relaxed);
  std::int64_t next = 0;
  do {
    next = std::max(last, current - burst) + gap;
    if (next > current) return false;
  } while (!last_.compare_exchange_weak(last, next, std::memory_order_relaxed));
  return true;
}

}  // namespace penstock::pool
