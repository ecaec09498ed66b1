// PoolConfig: everything a pool is told: where to connect, as whom, how many, for how long.
//
// Home: SHARED (immutable; a change of tenant or settings makes a new one, and the pool moves over to it).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "model/tenant.h"
#include "upstream/dial.h"

namespace penstock::pool {

struct PoolConfig {
  std::string tenant;
  std::shared_ptr<const model::TenantSpec> tenant_spec;  // what this was made from
  std::shared_ptr<const void> settings;  // likewise: only to tell whether there are others now
  std::string client_user;               // as clients say it
  std::string tls_trouble;               // why `plan` has not the TLS that the tenant wishes; empty: it has
  std::string database;                  // at the server
  std::string user;                      // at the server
  std::optional<model::PoolMode> mode = model::PoolMode::kTransaction;  // of its users; nothing: they differ
  std::shared_ptr<const upstream::DialPlan> plan;
  std::string connect_query;
  std::string reset_query;
  std::string check_query;

  // Upstreams; 0: no limit.
  int size = 20;
  int size_percent = 0;  // instead, of what the server has, as soon as that is known; 0: off
  int min_size = 0;
  int reserve_size = 0;
  int max_upstreams_of_tenant = 0;
  int guaranteed_of_tenant = 0;  // of these, to all its users together
  int guaranteed_of_user = 0;    // to this one
  int max_upstreams_of_user = 0;
  int max_upstreams_of_database = 0;
  int max_upstreams_of_process = 0;
  int max_waiting = 0;  // clients
  int connects_per_second = 0;
  int max_pools = 0;  // of the tenant
  // Of the tenant's clients; 0: no limit.
  int queries_per_second = 0;
  int bytes_per_second = 0;
  std::size_t prepared_max = 200;

  // Zero: off.
  std::chrono::milliseconds reserve_timeout{0};
  std::chrono::milliseconds lifetime{0};
  std::chrono::milliseconds idle_timeout{0};
  std::chrono::milliseconds check_delay{30000};
  std::chrono::milliseconds retry{1000};
  std::chrono::milliseconds retry_max{15000};
  std::chrono::milliseconds cleanup_timeout{10000};
  std::chrono::milliseconds slow_query{0};  // queries that run so long are logged
  // Of users who have a limit of their own.
  std::map<std::string, std::chrono::milliseconds, std::less<>> slow_query_of;
};
using PoolConfigPtr = std::shared_ptr<const PoolConfig>;

}  // namespace penstock::pool
