#include "pool/ledger.h"

#include <algorithm>

#include "base/assert.h"

namespace penstock::pool {

namespace {

void give_back(Scope& scope) {
  scope.open.fetch_sub(1);
  scope.line.call_next();
}

}  // namespace

Reservation Reservation::take(ScopesPtr scopes, std::initializer_list<int> limits, const Scope** full) {
  PENSTOCK_ASSERT(scopes->size() == limits.size());
  for (std::size_t i = 0; i < scopes->size(); ++i) {
    Scope& scope = *(*scopes)[i];
    const int limit = limits.begin()[i];
    int open = scope.open.load(std::memory_order_relaxed);
    do {
      if (limit > 0 && open >= limit) {
        if (full != nullptr) *full = &scope;
        while (i-- > 0) give_back(*(*scopes)[i]);
        return {};
      }
    } while (!scope.open.compare_exchange_weak(open, open + 1, std::memory_order_relaxed));
  }
  Reservation reservation;
  reservation.scopes_ = std::move(scopes);
  return reservation;
}

Reservation::~Reservation() {
  if (stake_ != nullptr) stake_->give_back();
  if (scopes_ == nullptr) return;
  for (const ScopePtr& scope : *scopes_) give_back(*scope);
}

ScopePtr Ledger::scope(const std::string& name) {
  return scopes_.find_or_make(name, [&] {
    auto scope = std::make_shared<Scope>();
    scope->name = name;
    return scope;
  });
}

ScopesPtr Ledger::scopes(const std::vector<std::string>& names) {
  std::string key;
  for (const std::string& name : names) key.append(name).push_back('\0');
  return lists_.find_or_make(key, [&] {
    auto list = std::make_shared<Scopes>();
    for (const std::string& name : names) list->push_back(scope(name));
    return list;
  });
}

PacePtr Ledger::pace(const std::string& name) {
  return paces_.find_or_make(name, [] { return std::make_shared<Pace>(); });
}

CapacityPtr Ledger::capacity(const std::string& hosts) {
  return capacities_.find_or_make(hosts, [] { return std::make_shared<Capacity>(); });
}

MetersPtr Ledger::meters(const std::string& tenant) {
  return meters_.find_or_make(tenant, [] { return std::make_shared<Meters>(); });
}

StakePtr Ledger::stake(const std::string& tenant, const std::string& user) {
  return stakes_.find_or_make(tenant + '/' + user, [&] {
    return std::make_shared<Stake>(
        shares_.find_or_make(tenant, [] { return std::make_shared<FairShare>(); }));
  });
}

bool Pace::is_open(base::TimePoint now, int per_second) const {
  if (per_second <= 0) return true;
  const std::int64_t gap = 1'000'000'000 / per_second;
  return last_.load(std::memory_order_relaxed) + gap <= now.time_since_epoch().count();
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
