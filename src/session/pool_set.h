// PoolSet: all pools of one worker, by key; makes one for the first client and drops it when nobody has used
// it for long.
//
// Owner:      the Worker.
// Home:       LOOP
// Invariants: a key names tenant, database, user and, where it matters, the client: equal keys may share
//             upstreams.
// Bounds:     sweep() drops pools without clients, waiters and upstreams.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "pool/pool.h"

namespace penstock::session {

class PoolSet {
 public:
  PoolSet(pool::PoolHome home, pool::PoolDirectory& directory)
      : home_(std::move(home)), directory_(directory) {}

  std::shared_ptr<pool::Pool> find(const std::string& key) const {
    const auto found = pools_.find(key);
    return found == pools_.end() ? nullptr : found->second;
  }
  std::shared_ptr<pool::Pool> find_or_make(const std::string& key, const pool::PoolConfigPtr& config) {
    std::shared_ptr<pool::Pool>& slot = pools_[key];
    if (slot == nullptr) slot = make_private(key, config);
    return slot;
  }
  // One that nobody else can find, if `key` is nobody else's: for replication connections.
  std::shared_ptr<pool::Pool> make_private(const std::string& key, const pool::PoolConfigPtr& config) {
    auto hub = directory_.hub(key, config->tenant + '/' + config->database);
    return std::make_shared<pool::Pool>(home_, key, config, std::move(hub));
  }
  void sweep() {
    std::erase_if(pools_, [](const auto& entry) {
      return entry.second.use_count() == 1 && entry.second->quiet() && entry.second->config().min_size == 0;
    });
  }
  template <class Call>
  void for_each(Call call) {
    for (auto& [key, pool] : pools_) call(*pool);
  }
  // Forgets all; a pool that still has users dies with the last of them.
  void clear() { pools_.clear(); }

 private:
  pool::PoolHome home_;
  pool::PoolDirectory& directory_;
  std::unordered_map<std::string, std::shared_ptr<pool::Pool>> pools_;
};

}  // namespace penstock::session
