// make_pool_config() turns what tenant, user and process settings say into what one pool is told.
//
// Home: any thread (pure, but for reading TLS files).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "model/catalog_snapshot.h"
#include "pool/pause_list.h"
#include "pool/pool_config.h"
#include "session/session_home.h"

namespace penstock::session {

// Whether the catalog has what a pool of this user logs in with; otherwise auth_query tells.
bool is_listed(const model::UserSpec* user);

// What a pool of this user logs in with. `asked`: what auth_query has told of the user, where the catalog has no secret.
struct Credentials {
  upstream::Credential first, other;
  // Keys go with the verifier that they prove, and with no other.
  void show(const std::optional<auth::ScramKeys>& keys);
};
Credentials credentials_of(const model::UserSpec* user, const std::optional<auth::Secret>& asked);

struct PoolWish {
  model::TenantPtr tenant;
  const model::UserSpec* user;  // null: known to auth_query only
  std::string client_user;      // as the client says it
  std::string user_name;        // at the server, where `user` says nothing else
  std::string database;
  Credentials credentials;
  pgwire::Parameters parameters;  // further start-up parameters
  // Used instead of the tenant's TLS files, if given.
  std::optional<std::shared_ptr<const tls::ClientContext>> tls = {};
};
base::Result<pool::PoolConfigPtr> make_pool_config(const std::shared_ptr<const config::Settings>& settings,
                                                   PoolWish wish);

// The role that a user is at the server. `user` null: known to auth_query only.
std::string role_at_server(const model::UserSpec* user, std::string_view client_user);

// What tells pools apart: tenant, database and role at the server, and whose secret logs in there. Users with an
// upstream_secret share the pools of their role; others have their own, for what they have shown us opens connections
// that no other of them need be let into.
std::string pool_key(const model::TenantSpec& tenant, const model::UserSpec* user,
                     std::string_view client_user, std::string_view database);
// Of all pools that have this name.
std::vector<std::string> pool_keys(const model::TenantSpec& tenant, const pool::PoolName& name);
// The same for its replication connections, each of which is a pool of its own: what they count as.
std::string replication_key(const pool::PoolName& name);

// Tells the pools of this worker what home.instructions now says about them; only those of one tenant. Pools of tenants
// that are gone are retired; those whose target changed get new upstreams, while their clients stay. A changed credential
// is for the next upstreams: those that have logged in stay. Where the next log-ins go to another pool, clients stay, and
// upstreams that they do not use close.
void follow_settings(SessionHome& home);
void follow_catalog(SessionHome& home, const std::string& tenant);
// The same for one pool, if it was made from another state of its tenant, or other settings, than the present ones.
void catch_up(SessionHome& home, pool::Pool& pool);

// A client has proven itself with what the pool may not have: its password has changed, or the pool had none.
// A secret is passed only if it comes from auth_query.
void renew_credential(pool::Pool& pool, const upstream::Credential& shown);
// The same for a client who has proven itself on another worker, to that worker's share of the pool.
void renew_credential(pool::Pool& pool, const pool::PoolConfig& elsewhere);

}  // namespace penstock::session
