// PoolHub is what the workers' shards of one pool know of each other.
//
// Each worker keeps its own idle upstreams and waiting clients. A shard that has clients waiting while
// another has upstreams to spare asks for one through the hub.
//
// Owner:      shared by the shards of one pool (shared_ptr); the PoolDirectory finds it for a new shard.
// Home:       SYNC (atomics for what is read per query; a mutex for who asks whom).
// Invariants: the counters are hints: a shard acts on its own state only, on its own thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/weak_table.h"
#include "io/loop.h"
#include "pool/ledger.h"
#include "upstream/upstream.h"

namespace penstock::pool {

class Pool;

inline constexpr unsigned kWorkersMax = 64;

class PoolHub {
 public:
  // Two cache lines of its own: what the others look at for each query, and what its worker writes for each.
  struct alignas(64) Seat {
    std::atomic<Pool*> shard{nullptr};  // touched only on its own loop; others just see whether it is there
    std::atomic<io::Loop*> loop{nullptr};
    // When the oldest waiting client began to wait, on the steady clock in ns; 0: nobody waits.
    std::atomic<std::int64_t> waiting_since{0};
    alignas(64) std::atomic<int> idle{0};
  };

  explicit PoolHub(std::shared_ptr<upstream::Schema> schema, unsigned workers = kWorkersMax)
      : schema_(std::move(schema)), seats_(workers) {}

  const std::shared_ptr<upstream::Schema>& schema() const { return schema_; }
  Seat& seat(unsigned worker) { return seats_[worker]; }
  // A shard takes its seat, for as long as it lives.
  Seat& sit_down(unsigned worker, Pool& shard, io::Loop& loop);
  // Counts the pool among those of its tenant, once, for as long as it lives. False: the tenant has as many
  // pools as it may have (0: no limit).
  bool enlist(Ledger& ledger, const std::string& tenant, int max_pools);
  // Its clients, on all workers.
  std::atomic<int> clients{0};
  // Its upstreams that are logged in, on all workers and between them: as many as there are Presences.
  std::atomic<int> present{0};
  // What servers say of themselves at log-in, so that a shard that has none yet can greet its clients.
  void set_parameters(std::shared_ptr<const upstream::ServerParameters> parameters);
  std::shared_ptr<const upstream::ServerParameters> parameters() const;
  // Whether a shard other than `me` has clients that wait since before `before`; which one waits longest.
  int longest_waiting(unsigned me, std::int64_t before) const;
  // A shard other than `me` with idle upstreams; -1: none.
  int some_idle(unsigned me) const;
  // Runs `call` with the shard of `worker` on its loop, if it is still there.
  template <class Call>
  static void tell(const std::shared_ptr<PoolHub>& hub, unsigned worker, Call call) {
    io::Loop* loop = hub->seats_[worker].loop.load(std::memory_order_acquire);
    if (loop == nullptr) return;
    loop->post([hub, worker, call = std::move(call)]() mutable {
      Pool* shard = hub->seats_[worker].shard.load(std::memory_order_acquire);
      call(shard);
    });
  }

 private:
  const std::shared_ptr<upstream::Schema> schema_;
  std::vector<Seat> seats_;  // one for each worker
  mutable std::mutex mutex_;
  std::shared_ptr<const upstream::ServerParameters> parameters_;  // guarded by mutex_
  Reservation place_;                                             // guarded by mutex_
};

// Counts an upstream, wherever it goes, for as long as it lives.
class Presence {
 public:
  Presence() = default;
  explicit Presence(std::shared_ptr<PoolHub> hub) : hub_(std::move(hub)) {
    hub_->present.fetch_add(1, std::memory_order_relaxed);
  }
  Presence(Presence&& other) noexcept : hub_(std::move(other.hub_)) {}
  Presence& operator=(Presence&&) = delete;
  ~Presence() { end(); }
  void end() {
    if (const auto hub = std::move(hub_)) hub->present.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<PoolHub> hub_;
};

class PoolDirectory {
 public:
  explicit PoolDirectory(unsigned workers = kWorkersMax) : workers_(workers) {}
  // `database`: its tenant and name; what pools of several users have in common.
  std::shared_ptr<PoolHub> hub(const std::string& key, const std::string& database);

 private:
  const unsigned workers_;
  base::WeakTable<PoolHub> hubs_;
  base::WeakTable<upstream::Schema> schemas_;
};

}  // namespace penstock::pool
