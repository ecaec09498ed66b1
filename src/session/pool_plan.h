// make_pool_config() turns what tenant, user and process settings say into what one pool is told.
//
// Home: any thread (pure, but for reading TLS files).
#pragma once

#include <string>

#include "config/settings.h"
#include "model/catalog_snapshot.h"
#include "pool/pause_list.h"
#include "pool/pool_config.h"
#include "session/session_home.h"

namespace penstock::session {

struct PoolWish {
  model::TenantPtr tenant;
  const model::UserSpec* user;  // null: known to auth_query only
  std::string client_user;      // as the client says it
  std::string user_name;        // at the server, where `user` says nothing else
  std::string database;
  upstream::Credential credential;
  pgwire::Parameters parameters;  // further start-up parameters
};
base::Result<pool::PoolConfigPtr> make_pool_config(const config::Settings& settings, PoolWish wish);

// What names the pool: tenant, user and database at the server.
std::string pool_key(const pool::PoolName& name);
std::string pool_key(const model::TenantSpec& tenant, std::string_view upstream_user,
                     std::string_view database);

// Tells the pools of this worker what home.instructions now says about them; only those of one tenant. Pools of tenants
// that are gone are retired; those whose target or credential changed get new upstreams, while their clients stay.
void follow_settings(SessionHome& home);
void follow_catalog(SessionHome& home, const std::string& tenant);
// The same for one pool, if it was made from another state of its tenant than the present one.
void catch_up(SessionHome& home, pool::Pool& pool);

// A client has proven itself with keys the pool may not have: its password has changed, or the pool had none.
void renew_keys(pool::Pool& pool, const std::optional<auth::ScramKeys>& keys);

}  // namespace penstock::session
