// Ledger: how many of something are open in each scope that has a limit: process, tenant, user, database,
// pool.
//
// A limit must hold over all workers; everything else about a pool is a worker's own. So a scope is one
// counter, and reserving in several scopes is all or nothing.
//
// Owner:      the server; scopes are shared by whoever counts in them.
// Home:       SYNC (atomics in Scope; a mutex guards the directory of scopes, used when a pool or a log-in
// starts). Invariants: 1. A Reservation counts exactly once in each of its scopes while it lives.
//             2. No scope is ever above the limit given with the reservation (0: no limit).
// Bounds:     unused scopes are dropped when the directory has doubled.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

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

class Ledger {
 public:
  // The scope of that name, made on first use.
  ScopePtr scope(const std::string& name);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<Scope>> scopes_;  // guarded by mutex_
  std::size_t drop_at_ = 1024;                                    // guarded by mutex_
};

}  // namespace penstock::pool
