// PauseList: the tenants and pools that are paused by command.
//
// Home:       SHARED (immutable; a command makes a new one).
#pragma once

#include <compare>
#include <memory>
#include <set>
#include <string>

#include "pool/pool_config.h"

namespace penstock::pool {

// What tells the pools of a tenant apart.
struct PoolName {
  std::string tenant;
  std::string database;  // at the server
  std::string user;      // at the server
  auto operator<=>(const PoolName&) const = default;
};

inline PoolName name_of(const PoolConfig& config) {
  return {.tenant = config.tenant, .database = config.database, .user = config.user};
}

struct PauseList {
  std::set<std::string> tenants;
  std::set<PoolName> pools;

  bool covers(const PoolName& pool) const { return tenants.contains(pool.tenant) || pools.contains(pool); }
};
using PauseListPtr = std::shared_ptr<const PauseList>;

}  // namespace penstock::pool
