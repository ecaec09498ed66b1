// The part of a log-in between the password and the server's settings: limits, and the pool that serves the client.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "io/await.h"
#include "session/login.h"
#include "session/pool_plan.h"
#include "session/pool_set.h"

namespace penstock::session {

namespace {

// The longest a log-in waits where the tenant has no room for it just now.
constexpr base::Duration kTurnPatience = std::chrono::seconds(2);
constexpr base::Duration kLookAgain = std::chrono::milliseconds(20);

}  // namespace

base::Status Login::reserve() {
  const Identity& identity = outcome_.identity;
  const config::Settings& settings = *instructions_.settings;
  const model::PoolOverrides& of_tenant = identity.tenant->overrides;
  const std::optional<int> of_user = user_ != nullptr ? user_->overrides.max_clients : std::nullopt;
  const std::string tenant = clients_scope(identity.tenant->id);
  // Whose limit, how high, and who says so.
  struct Limit {
    std::string scope;
    int most;
    std::string_view field;
  };
  const std::array<Limit, 4> limits{
      Limit{std::string(kAllClients), settings.max_clients, "pool.max_clients"},
      Limit{tenant, of_tenant.max_clients.value_or(settings.max_clients_per_tenant),
            of_tenant.max_clients ? "max_clients of the tenant" : "pool.max_clients_per_tenant"},
      Limit{"user \"" + identity.user + "\" of " + tenant, of_user.value_or(settings.max_clients_per_user),
            of_user ? "max_clients of the user" : "pool.max_clients_per_user"},
      Limit{"database \"" + identity.database + "\" of " + tenant, settings.max_clients_per_database,
            "pool.max_clients_per_database"}};
  const pool::Scope* full = nullptr;
  outcome_.reservation = pool::Reservation::take(
      home_.ledger.scopes({limits[0].scope, limits[1].scope, limits[2].scope, limits[3].scope}),
      {limits[0].most, limits[1].most, limits[2].most, limits[3].most}, &full);
  if (outcome_.reservation) return {};
  const auto* limit = std::ranges::find(limits, full->name, &Limit::scope);
  return base::fail(base::kTooManyConnections, "no more connections allowed for " + full->name,
                    fmt::format("There may be {} at the same time ({}).", limit->most, limit->field),
                    "Raise the limit, or close connections that are not needed.");
}

// The tenant's log-ins in a second. Only those count that have shown a true password: else a stranger could shut
// the tenant's own clients out, and learn that the tenant exists.
io::Task<base::Status> Login::wait_for_turn() {
  const std::string& tenant = outcome_.identity.tenant->id;
  const int limit = outcome_.identity.tenant->connects_per_second.value_or(0);
  if (limit <= 0) co_return base::Status{};
  const pool::MetersPtr meters = home_.ledger.meters(tenant);
  const base::TimePoint now = home_.loop.now();
  const base::TimePoint latest = std::min(deadline_, now + kTurnPatience);
  const std::optional<base::TimePoint> turn = meters->logins.charge(now, 1, limit, latest);
  if (!turn.has_value()) {
    co_return base::fail(base::kTooManyConnections,
                         fmt::format("too many clients of tenant \"{}\" connect at the same time", tenant),
                         fmt::format("At most {} may log in in a second (connects_per_second).", limit),
                         "Keep connections open, or connect again later.");
  }
  if (*turn > now) co_await io::SleepAwait(home_.loop, *turn - now);
  co_return base::Status{};
}

io::Task<base::Status> Login::find_pool(const pgwire::StartupMessage& startup) {
  Identity& identity = outcome_.identity;
  const std::string key = pool_key(*identity.tenant, user_, identity.user, identity.database);
  const bool replication = identity.replication != pgwire::Replication::kNo;
  if (!replication) outcome_.pool = home_.pools.find(key);
  if (outcome_.pool != nullptr) {
    renew_credential(*outcome_.pool, {.secret = asked_secret(), .keys = keys_});
  } else {
    auto config = plan_pool(startup);
    if (!config) co_return base::fail(std::move(config.error()));
    if (replication) {
      // One connection for one client, outside of the pool's size.
      auto own = std::make_shared<pool::PoolConfig>(**config);
      own->mode = model::PoolMode::kSession;
      own->size = own->size_percent = own->min_size = own->reserve_size = 0;
      // Without a database it takes no SQL.
      if (identity.replication == pgwire::Replication::kPhysical) own->connect_query.clear();
      const std::string name = replication_key(pool::name_of(*own));
      outcome_.pool = home_.pools.make_private(name, session_.id(), std::move(own));
    } else {
      outcome_.pool = co_await make_pool(key, *config);
      if (outcome_.pool != nullptr) catch_up(home_, *outcome_.pool);
    }
    if (outcome_.pool == nullptr) {
      co_return base::fail(base::kTooManyConnections,
                           fmt::format("no more pools allowed for tenant \"{}\"", identity.tenant->id),
                           fmt::format("It may have {} at the same time, one for each user and database that "
                                       "clients use (max_pools).",
                                       (*config)->max_pools));
    }
  }
  settle_terms();
  co_return base::Status{};
}

// Null: the tenant has as many pools as it may have, and all of them have clients.
io::Task<std::shared_ptr<pool::Pool>> Login::make_pool(std::string key, pool::PoolConfigPtr config) {
  const base::TimePoint until = std::min(deadline_, home_.loop.now() + kTurnPatience);
  for (;;) {
    auto pool = home_.pools.find_or_make_if_room(key, config);
    if (pool != nullptr || home_.loop.now() >= until) co_return pool;
    home_.drop_unused_pools(config->tenant);
    co_await io::SleepAwait(home_.loop, kLookAgain);
  }
}

// What auth_query has told of the user, where the catalog has no secret.
std::optional<auth::Secret> Login::asked_secret() const {
  return is_listed(user_) || secrets_.empty() ? std::nullopt : std::optional(secrets_.front());
}

base::Result<pool::PoolConfigPtr> Login::plan_pool(const pgwire::StartupMessage& startup) {
  const Identity& identity = outcome_.identity;
  Credentials credentials = credentials_of(user_, asked_secret());
  credentials.show(keys_);
  PoolWish wish{.tenant = identity.tenant,
                .user = user_,
                .client_user = identity.user,
                .user_name = role_at_server(user_, identity.user),
                .database = identity.database,
                .credentials = std::move(credentials),
                .parameters = {}};
  if (identity.replication != pgwire::Replication::kNo) {
    wish.parameters.emplace_back(
        "replication", identity.replication == pgwire::Replication::kDatabase ? "database" : "true");
    // A walsender understands no SET: what the client asks for goes into our own start-up packet.
    auto requested = requested_settings(startup);
    if (!requested) return std::unexpected(std::move(requested.error()));
    for (auto& setting : *requested) wish.parameters.push_back(std::move(setting));
  }
  return make_pool_config(home_.instructions.settings, std::move(wish));
}

// What is the client's own: users who share a pool may differ in all of it.
void Login::settle_terms() {
  Identity& identity = outcome_.identity;
  const config::Settings& settings = *instructions_.settings;
  const model::PoolOverrides nothing;
  const model::PoolOverrides& of_user = user_ != nullptr ? user_->overrides : nothing;
  const model::PoolOverrides& of_tenant = identity.tenant->overrides;
  const auto chosen = [&](auto member, auto otherwise) {
    return (of_user.*member).value_or((of_tenant.*member).value_or(otherwise));
  };
  identity.mode =
      identity.replication != pgwire::Replication::kNo
          ? model::PoolMode::kSession
          : entrance_.pool_mode.value_or(chosen(&model::PoolOverrides::pool_mode, settings.pool_mode));
  identity.query = chosen(&model::PoolOverrides::query_timeout, settings.query_timeout);
  identity.query_wait = chosen(&model::PoolOverrides::query_wait_timeout, settings.query_wait_timeout);
  identity.transaction = chosen(&model::PoolOverrides::transaction_timeout, settings.transaction_timeout);
  identity.idle_transaction =
      chosen(&model::PoolOverrides::idle_transaction_timeout, settings.idle_transaction_timeout);
  identity.heartbeat = identity.tenant->client_heartbeat_interval.value_or(std::chrono::milliseconds(0));
  identity.client_idle = chosen(&model::PoolOverrides::client_idle_timeout, settings.client_idle_timeout);
}

}  // namespace penstock::session
