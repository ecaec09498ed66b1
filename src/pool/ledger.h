// Ledger: how many of something are open in each scope that has a limit: process, tenant, user, database,
// pool.
//
// A limit must hold over all workers; everything else about a pool is a worker's own. So a scope is one
// counter, and reserving in several scopes is all or nothing.
//
// Owner:      the server; scopes are shared by whoever counts in them.
// Home:       SYNC (atomics; the tables' mutex when a pool or a log-in starts)
// Invariants: 1. A Reservation counts exactly once in each of its scopes while it lives.
//             2. No scope is ever above the limit given with the reservation (0: no limit).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/weak_table.h"

namespace penstock::pool {

struct Scope {
  std::string name;  // "tenant acme", for messages
  std::atomic<int> open{0};
};
using ScopePtr = std::shared_ptr<Scope>;

struct ScopeLimit {
  ScopePtr scope;
  int limit = 0;  // 0: none
};

class Reservation {
 public:
  Reservation() = default;
  // Nothing when a scope is full; `full` then names it.
  static Reservation take(const std::vector<ScopeLimit>& scopes, const Scope** full = nullptr);
  Reservation(Reservation&& other) noexcept : scopes_(std::exchange(other.scopes_, {})) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(scopes_, other.scopes_);
    return *this;
  }
  ~Reservation();
  explicit operator bool() const { return !scopes_.empty(); }

 private:
  std::vector<ScopePtr> scopes_;
};

// Pace spaces out attempts of one kind, over all workers: at most so many per second, and of these a tenth of
// a second's worth (but at least one) at once.
class Pace {
 public:
  // True: go ahead now. `per_second` 0: no limit.
  bool take(base::TimePoint now, int per_second);

 private:
  static constexpr base::Duration kBurst = std::chrono::milliseconds(100);
  std::atomic<std::int64_t> last_{0};  // of the attempt that was let through last, as if evenly spaced; ns
};
using PacePtr = std::shared_ptr<Pace>;

class Ledger {
 public:
  // The scope of that name, made on first use.
  ScopePtr scope(const std::string& name);
  PacePtr pace(const std::string& name);

 private:
  base::WeakTable<Scope> scopes_;
  base::WeakTable<Pace> paces_;
};

}  // namespace penstock::pool
