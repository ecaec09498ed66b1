// Look: what one worker has at the moment, for people and Prometheus, in parts that are short enough for a turn of its
// loop. Without it, a scrape would hold up the queries of a worker with thousands of pools.
//
// Owner:      whoever asks, until all parts are done.
// Home:       the worker's thread.
// Invariants: what is there during all parts is found once; what comes or goes meanwhile may be missing.
// Bounds:     kEntriesPerPart pools, or kBucketsPerPart buckets, which hold about as many clients, per part.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "admin/engine.h"
#include "server/worker.h"

namespace penstock::server {

// Goes through a hash table from part to part.
class BucketWalk {
 public:
  static constexpr std::size_t kBucketsPerPart = 256;
  // Visits the next part; calls `begin` when it is the first, or when the table was rebuilt since. True: there are more.
  template <class Map, class Begin, class Visit>
  bool step(const Map& map, Begin begin, Visit visit) {
    if (buckets_ != map.bucket_count()) {
      buckets_ = map.bucket_count();
      next_ = 0;
      begin();
    }
    const std::size_t end = std::min(buckets_, next_ + kBucketsPerPart);
    for (; next_ < end; ++next_) {
      for (auto entry = map.begin(next_); entry != map.end(next_); ++entry) visit(*entry);
    }
    return next_ < buckets_;
  }

 private:
  std::size_t next_ = 0;
  std::size_t buckets_ = 0;
};

// Goes through an ordered map from part to part.
class KeyWalk {
 public:
  static constexpr int kEntriesPerPart = 256;
  // Visits the next part. True: there are more.
  template <class Map, class Visit>
  bool step(const Map& map, Visit visit) {
    auto entry = last_.has_value() ? map.upper_bound(*last_) : map.begin();
    for (int i = 0; i < kEntriesPerPart && entry != map.end(); ++i, ++entry) {
      last_ = entry->first;
      visit(*entry);
    }
    return entry != map.end();
  }

 private:
  std::optional<std::string> last_;
};

class Look {
 public:
  Look(std::shared_ptr<const admin::LookWish> wish, unsigned worker)
      : wish_(std::move(wish)), worker_(worker) {}
  // One part. True: there are more.
  bool step(const session::PoolSet& pools, const Worker::Sessions& sessions);
  admin::Findings take() { return std::move(found_); }

 private:
  bool step_pools(const session::PoolSet& pools);
  void visit(const pool::Pool& pool);
  bool step_clients(const Worker::Sessions& sessions);
  void add_servers(const pool::Pool& pool);
  void add_client(std::uint64_t id, const session::Session& session);

  std::shared_ptr<const admin::LookWish> wish_;
  unsigned worker_;
  KeyWalk pools_, private_pools_;
  BucketWalk clients_;
  bool pools_done_ = false;
  admin::Findings found_;
};

// Makes one of the shards of several workers.
void merge_shards(std::vector<admin::PoolView>& pools);
// Makes one of a tenant's pools that the metrics do not know by name, and one of all tenants' whose counters are one.
using AmongAll = std::function<bool(const std::string& tenant)>;
void merge_uncounted(std::vector<admin::PoolView>& pools, const AmongAll& are_among_all);
// Whether the table has what these pools of the tenant count among what those of all do: it had no room left.
bool are_counted_among_all(telemetry::PoolCounterTable& counters, unsigned workers,
                           const std::string& tenant);

}  // namespace penstock::server
