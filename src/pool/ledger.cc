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
  const std::lock_guard lock(mutex_);
  std::weak_ptr<Scope>& slot = scopes_[name];
  ScopePtr scope = slot.lock();
  if (scope == nullptr) {
    scope = std::make_shared<Scope>();
    scope->name = name;
    slot = scope;
    if (scopes_.size() > drop_at_) {
      std::erase_if(scopes_, [](const auto& entry) { return entry.second.expired(); });
      drop_at_ = std::max<std::size_t>(1024, scopes_.size() * 2);
    }
  }
  return scope;
}

}  // namespace penstock::pool
