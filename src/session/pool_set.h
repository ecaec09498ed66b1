// PoolSet: all pools of one worker, by key; makes one for the first client and drops it when nobody has used
// it for long.
//
// Owner:      the Worker.
// Home:       LOOP
// Invariants: a key names tenant, database, user and, where it matters, the client: equal keys may share
//             upstreams.
// Bounds:     sweep() drops pools without clients, waiters and upstreams.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "pool/pause_list.h"
#include "pool/pool.h"

namespace penstock::session {

// Stands between the parts of a key. Clients name databases and users as they like, but a '\0' is the end of what they
// say, and the catalog takes none.
inline constexpr char kKeyMark = '\0';

class PoolSet {
 public:
  PoolSet(pool::PoolHome home, pool::PoolDirectory& directory)
      : home_(std::move(home)), directory_(directory) {
    home_.with_idle = &with_idle_;
  }
  PoolSet(const PoolSet&) = delete;

  std::shared_ptr<pool::Pool> find(const std::string& key) const {
    const auto found = pools_.find(key);
    return found == pools_.end() ? nullptr : found->second;
  }
  std::shared_ptr<pool::Pool> find_or_make(const std::string& key, const pool::PoolConfigPtr& config) {
    return try_make(key, config, 0);
  }
  // Null: the tenant has as many pools as it may have.
  std::shared_ptr<pool::Pool> find_or_make_if_room(const std::string& key,
                                                   const pool::PoolConfigPtr& config) {
    return try_make(key, config, config->max_pools);
  }
  // One that nobody else can find, for a replication connection: it counts with the others of this key, and dies with
  // its last user. `id` tells them apart.
  std::shared_ptr<pool::Pool> make_private(const std::string& key, std::uint64_t id,
                                           const pool::PoolConfigPtr& config) {
    const std::string own = key + kKeyMark + std::to_string(id);
    auto made = std::make_shared<pool::Pool>(home_, key, config, hub_of(own, config));
    obey(*made);
    private_[own] = made;
    return made;
  }
  // Pools that the list names are paused from now on, and no others.
  void follow(pool::PauseListPtr pauses) {
    pauses_ = std::move(pauses);
    for (auto& [key, pool] : pools_) obey(*pool);
    for (const auto& [key, entry] : private_) {
      if (const auto pool = entry.lock()) obey(*pool);
    }
  }
  void sweep() {
    std::erase_if(private_, [](const auto& entry) { return entry.second.expired(); });
    std::erase_if(pools_, [](const auto& entry) {
      return entry.second.use_count() == 1 && entry.second->quiet() && entry.second->config().min_size == 0;
    });
  }
  // Drops the tenant's pools that have no clients, with their connections.
  void drop_unused(const std::string& tenant) {
    std::erase_if(pools_, [&](const auto& entry) {
      const auto& [key, pool] = entry;
      if (pool->config().tenant != tenant || pool.use_count() > 1 || !pool->unused()) return false;
      home_.tools.loop.defer([pool] {});  // it may be on the stack
      return true;
    });
  }
  // Whether the tenant may have one more pool that has never had a server, so that there are not more than `max`: one
  // that nobody has makes room.
  bool may_try_another(const std::string& tenant, std::size_t max) {
    std::vector<std::shared_ptr<pool::Pool>> tried;
    for_each_of(tenant, [&](pool::Pool& pool) {
      if (pool.parameters() == nullptr) tried.push_back(pools_.at(pool.key()));
    });
    for (auto pool = tried.begin(); pool != tried.end() && tried.size() >= max;) {
      if (give_up(std::move(*pool)))
        pool = tried.erase(pool);
      else
        ++pool;
    }
    return tried.size() < max;
  }
  // Drops a pool that has never had a server, if nobody but the caller has it.
  bool give_up(std::shared_ptr<pool::Pool> pool) {
    const auto found = pools_.find(pool->key());
    if (found == pools_.end() || found->second != pool || pool.use_count() > 2) return false;
    if (!pool->quiet() || pool->parameters() != nullptr) return false;
    pools_.erase(found);
    home_.tools.loop.defer([pool = std::move(pool)] {});  // it may be on the stack
    return true;
  }
  // Closes an idle upstream for a pool that waits for room in this scope, of the pool that needs it least.
  void make_room(const pool::ScopePtr& scope) {
    for (auto pool = with_idle_.rbegin(); pool != with_idle_.rend(); ++pool) {
      if (pool->yield_idle(scope)) return;
    }
  }
  template <class Call>
  void for_each(Call call) {
    for (auto& [key, pool] : pools_) call(*pool);
  }
  // Those of one tenant: their keys begin with its id.
  template <class Call>
  void for_each_of(const std::string& tenant, Call call) {
    each_from(pools_, tenant + kKeyMark, [&](const auto& pool) { call(*pool); });
  }
  // The same, and those of replication connections.
  template <class Call>
  void for_all_of(const std::string& tenant, Call call) {
    for_each_of(tenant, call);
    each_from(private_, tenant + kKeyMark, [&](const auto& entry) {
      if (const auto pool = entry.lock()) call(*pool);
    });
  }
  // Whether what clients have left behind is still being ended anywhere.
  bool is_cleaning() const {
    return std::ranges::any_of(pools_, [](const auto& entry) { return entry.second->counts().cleaning > 0; });
  }
  const pool::PoolHome& home() const { return home_; }
  // For those who visit all, but not in one turn of the loop.
  const std::map<std::string, std::shared_ptr<pool::Pool>>& by_key() const { return pools_; }
  const std::map<std::string, std::weak_ptr<pool::Pool>>& private_by_key() const { return private_; }
  // Forgets all; a pool that still has users dies with the last of them.
  void clear() { pools_.clear(); }

 private:
  template <class Map, class Call>
  static void each_from(Map& map, const std::string& begin, Call call) {
    for (auto entry = map.lower_bound(begin); entry != map.end() && entry->first.starts_with(begin);
         ++entry) {
      call(entry->second);
    }
  }
  std::shared_ptr<pool::Pool> try_make(const std::string& key, const pool::PoolConfigPtr& config,
                                       int max_pools) {
    if (auto known = find(key)) return known;
    const auto hub = hub_of(key, config);
    if (!hub->enlist(home_.ledger, config->tenant, max_pools)) return nullptr;
    return pools_[key] = make(key, config);
  }
  std::shared_ptr<pool::PoolHub> hub_of(const std::string& key, const pool::PoolConfigPtr& config) {
    return directory_.hub(key, config->tenant + '/' + config->database);
  }
  std::shared_ptr<pool::Pool> make(const std::string& key, const pool::PoolConfigPtr& config) {
    auto made = std::make_shared<pool::Pool>(home_, key, config, hub_of(key, config));
    obey(*made);
    return made;
  }
  void obey(pool::Pool& pool) {
    if (pauses_ == nullptr) return;
    pauses_->covers(pool::name_of(pool.config())) ? pool.pause() : pool.resume();
  }

  base::List<pool::Pool, pool::Pool> with_idle_;
  pool::PoolHome home_;
  pool::PoolDirectory& directory_;
  pool::PauseListPtr pauses_;                                 // null: none was ever paused
  std::map<std::string, std::weak_ptr<pool::Pool>> private_;  // until they are swept
  std::map<std::string, std::shared_ptr<pool::Pool>> pools_;
};

}  // namespace penstock::session
