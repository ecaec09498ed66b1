#include "server/look.h"

#include <algorithm>
#include <tuple>

#include "model/words.h"

namespace penstock::server {

namespace {

bool wants(const admin::LookWish& wish, const std::string& tenant) {
  if (!wish.tenant.empty() && wish.tenant != tenant) return false;
  return wish.tenants.empty() || std::ranges::find(wish.tenants, tenant) != wish.tenants.end();
}

admin::PoolState state_of(const pool::Pool& pool) {
  if (!pool.is_paused()) return admin::PoolState::kActive;
  return pool.has_upstreams() ? admin::PoolState::kPausing : admin::PoolState::kPaused;
}

admin::PoolView view_of(const pool::Pool& pool) {
  const pool::PoolConfig& config = pool.config();
  const pool::Pool::Counts counts = pool.counts();
  admin::PoolView view{.tenant = config.tenant,
                       .user = config.client_user,
                       .database = config.database,
                       .mode = std::string(model::word_of(config.mode)),
                       .state = state_of(pool),
                       .size = config.size,
                       .idle = counts.idle,
                       .active = counts.lent,
                       .cleaning = counts.cleaning,
                       .connecting = counts.dialling,
                       .waiting = counts.waiting};
  if (const auto since = pool.oldest_wait()) {
    view.longest_wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - *since);
  }
  if (pool.last_error() != nullptr) view.last_error = pool.last_error()->message;
  return view;
}

void look_at_servers(const admin::LookWish& wish, unsigned worker, const pool::Pool& pool,
                     std::vector<admin::ServerView>& servers) {
  pool.for_each_upstream([&](const upstream::Upstream& upstream, std::string_view state) {
    if (servers.size() >= wish.limit) return;
    servers.push_back({.id = (upstream.id << 8) | worker,
                       .worker = worker,
                       .tenant = pool.config().tenant,
                       .user = pool.config().client_user,
                       .database = pool.config().database,
                       .host = upstream.address.to_string(),
                       .state = std::string(state),
                       .tls = upstream.tls,
                       .process_id = upstream.process_id});
  });
}

}  // namespace

void look_at(const admin::LookWish& wish, unsigned worker, session::PoolSet& pools,
             Worker::Sessions& sessions, admin::Findings& found) {
  std::vector<admin::ServerView> servers;
  if (wish.pools || wish.servers) {
    pools.for_each([&](const pool::Pool& pool) {
      if (!wants(wish, pool.config().tenant)) return;
      if (wish.pools) found.pools.push_back(view_of(pool));
      if (wish.servers) look_at_servers(wish, worker, pool, servers);
    });
  }
  std::ranges::move(servers, std::back_inserter(found.servers));
  if (!wish.clients) return;
  std::size_t count = 0;
  for (const auto& [id, session] : sessions) {
    if (count >= wish.limit) break;
    if (!session->logged_in()) continue;
    const session::Identity& identity = session->identity();
    if (!wants(wish, identity.tenant->id)) continue;
    ++count;
    found.clients.push_back({.id = id,
                             .worker = worker,
                             .tenant = identity.tenant->id,
                             .user = identity.user,
                             .database = identity.database,
                             .application_name = identity.application_name,
                             .address = session->address(),
                             .state = std::string(session->state_word()),
                             .tls = identity.tls});
  }
}

void merge_shards(std::vector<admin::PoolView>& pools) {
  const auto key = [](const admin::PoolView& pool) {
    return std::tie(pool.tenant, pool.user, pool.database);
  };
  std::ranges::sort(pools, [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::vector<admin::PoolView> merged;
  for (admin::PoolView& pool : pools) {
    if (merged.empty() || key(merged.back()) != key(pool)) {
      merged.push_back(std::move(pool));
      continue;
    }
    admin::PoolView& sum = merged.back();
    sum.idle += pool.idle;
    sum.active += pool.active;
    sum.cleaning += pool.cleaning;
    sum.connecting += pool.connecting;
    sum.waiting += pool.waiting;
    sum.longest_wait = std::max(sum.longest_wait, pool.longest_wait);
    if (pool.state == admin::PoolState::kPausing) sum.state = pool.state;
    if (sum.last_error.empty()) sum.last_error = std::move(pool.last_error);
  }
  pools = std::move(merged);
}

}  // namespace penstock::server
