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
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/weak_table.h"
#include "pool/fair_share.h"
#include "pool/meter.h"
#include "pool/room_line.h"

namespace penstock::pool {

struct Scope {
  std::string name;  // "tenant acme", for messages
  std::atomic<int> open{0};
  RoomLine line;  // for a place, once all are taken
};
using ScopePtr = std::shared_ptr<Scope>;
// Scopes in which the same things count; whoever counts in the same ones shares one list.
using Scopes = std::vector<ScopePtr>;
using ScopesPtr = std::shared_ptr<const Scopes>;

class Reservation {
 public:
  Reservation() = default;
  // `limits`: one for each scope; 0: none. Nothing when a scope is full; `full` then names it.
  static Reservation take(ScopesPtr scopes, std::initializer_list<int> limits, const Scope** full = nullptr);
  Reservation(Reservation&& other) noexcept
      : scopes_(std::exchange(other.scopes_, {})), stake_(std::exchange(other.stake_, {})) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(scopes_, other.scopes_);
    std::swap(stake_, other.stake_);
    return *this;
  }
  ~Reservation();
  explicit operator bool() const { return scopes_ != nullptr; }
  // A place that has been taken of this stake goes back with the rest.
  void add(StakePtr stake) { stake_ = std::move(stake); }

 private:
  ScopesPtr scopes_;
  StakePtr stake_;
};

// Pace spaces out attempts of one kind, over all workers: at most so many per second, and of these a tenth of
// a second's worth (but at least one) at once.
class Pace {
 public:
  // True: go ahead now. `per_second` 0: no limit.
  bool take(base::TimePoint now, int per_second);
  // Whether take() would let somebody through.
  bool is_open(base::TimePoint now, int per_second) const;

 private:
  static constexpr base::Duration kBurst = std::chrono::milliseconds(100);
  std::atomic<std::int64_t> last_{0};  // of the attempt that was let through last, as if evenly spaced; ns
};
using PacePtr = std::shared_ptr<Pace>;

// The scopes in which upstreams count.
inline std::string upstreams_of_tenant(const std::string& tenant) {
  return "upstreams of tenant " + tenant;
}
inline std::string upstreams_of_pool(const std::string& key) {
  return "pool " + key;
}

// What a server has said of itself: how many connections it has for ordinary roles.
struct Capacity {
  std::atomic<int> connections{0};        // 0: not known
  std::atomic<std::int64_t> asked_at{0};  // by the steady clock, ns
};
using CapacityPtr = std::shared_ptr<Capacity>;

class Ledger {
 public:
  // The scope of that name, made on first use.
  ScopePtr scope(const std::string& name);
  // The scopes of these names, as one list.
  ScopesPtr scopes(const std::vector<std::string>& names);
  PacePtr pace(const std::string& name);
  // Of the server behind these hosts.
  CapacityPtr capacity(const std::string& hosts);
  MetersPtr meters(const std::string& tenant);
  // Of the connections of a tenant, what this user of it has.
  StakePtr stake(const std::string& tenant, const std::string& user);

 private:
  base::WeakTable<Scope> scopes_;
  base::WeakTable<const Scopes> lists_;
  base::WeakTable<Pace> paces_;
  base::WeakTable<Capacity> capacities_;
  base::WeakTable<Meters> meters_;
  base::WeakTable<FairShare> shares_;
  base::WeakTable<Stake> stakes_;
};

}  // namespace penstock::pool
