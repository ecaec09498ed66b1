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
  telemetry::PoolLabels labels = pool.labels();
  admin::PoolView view{.tenant = std::move(labels.tenant),
                       .user = std::move(labels.user),
                       .database = std::move(labels.database),
                       .mode = config.mode ? std::string(model::word_of(*config.mode)) : "mixed",
                       .role = pool::name_of(config).user,
                       .key = pool.key(),
                       .state = state_of(pool),
                       .size = pool.size(),
                       .idle = counts.idle,
                       .active = counts.lent,
                       .cleaning = counts.cleaning,
                       .connecting = counts.dialling,
                       .waiting = counts.waiting,
                       .is_counted = pool.is_counted()};
  if (const auto since = pool.oldest_wait()) {
    view.longest_wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - *since);
  }
  if (pool.last_error() != nullptr) view.last_error = pool.last_error()->message;
  return view;
}

}  // namespace

bool Look::step(const session::PoolSet& pools, const Worker::Sessions& sessions) {
  if (!pools_done_) {
    pools_done_ = !(wish_->pools || wish_->servers) || !step_pools(pools);
    return !pools_done_ || wish_->clients;
  }
  return step_clients(sessions);
}

bool Look::step_pools(const session::PoolSet& pools) {
  if (pools_.step(pools.by_key(), [this](const auto& entry) { visit(*entry.second); })) return true;
  return private_pools_.step(pools.private_by_key(), [this](const auto& entry) {
    if (const auto pool = entry.second.lock()) visit(*pool);
  });
}

void Look::visit(const pool::Pool& pool) {
  if (!wants(*wish_, pool.config().tenant)) return;
  if (wish_->pools) found_.pools.push_back(view_of(pool));
  if (wish_->servers) add_servers(pool);
}

bool Look::step_clients(const Worker::Sessions& sessions) {
  const bool more = clients_.step(
      sessions, [this] { found_.clients.clear(); },
      [this](const auto& entry) {
        const session::Session& session = *entry.second;
        if (found_.clients.size() >= wish_->limit || !session.logged_in()) return;
        if (wants(*wish_, session.identity().tenant->id)) add_client(entry.first, session);
      });
  return more && found_.clients.size() < wish_->limit;
}

void Look::add_servers(const pool::Pool& pool) {
  pool.for_each_upstream([&](const upstream::Upstream& upstream, std::string_view state) {
    if (found_.servers.size() >= wish_->limit) return;
    found_.servers.push_back({.id = (upstream.id << 8) | worker_,
                              .worker = worker_,
                              .tenant = pool.config().tenant,
                              .user = pool.config().user,
                              .database = pool.config().database,
                              .host = upstream.address.to_string(),
                              .state = std::string(state),
                              .tls = upstream.tls,
                              .process_id = upstream.process_id});
  });
}

void Look::add_client(std::uint64_t id, const session::Session& session) {
  const session::Identity& identity = session.identity();
  found_.clients.push_back({.id = id,
                            .worker = worker_,
                            .tenant = identity.tenant->id,
                            .user = identity.user,
                            .database = identity.database,
                            .application_name = identity.application_name,
                            .address = session.address(),
                            .state = std::string(session.state_word()),
                            .tls = identity.tls});
}

namespace {

// Calls `add` for each but the first of those with equal labels, and leaves the first; they are in order afterwards.
void merge(std::vector<admin::PoolView>& pools, auto add) {
  const auto key = [](const admin::PoolView& pool) {
    return std::tie(pool.tenant, pool.user, pool.database);
  };
  std::ranges::sort(pools, [&](const auto& a, const auto& b) {
    return std::tuple_cat(key(a), std::tie(a.key)) < std::tuple_cat(key(b), std::tie(b.key));
  });
  std::vector<admin::PoolView> merged;
  for (admin::PoolView& pool : pools) {
    if (merged.empty() || key(merged.back()) != key(pool)) {
      merged.push_back(std::move(pool));
    } else {
      add(merged.back(), pool);
    }
  }
  pools = std::move(merged);
}

void add_shard(admin::PoolView& sum, admin::PoolView& pool) {
  sum.idle += pool.idle;
  sum.active += pool.active;
  sum.cleaning += pool.cleaning;
  sum.connecting += pool.connecting;
  sum.waiting += pool.waiting;
  sum.longest_wait = std::max(sum.longest_wait, pool.longest_wait);
  if (pool.state == admin::PoolState::kPausing) sum.state = pool.state;
  if (sum.last_error.empty()) sum.last_error = std::move(pool.last_error);
  sum.is_counted = sum.is_counted || pool.is_counted;
}

}  // namespace

void merge_shards(std::vector<admin::PoolView>& pools) {
  merge(pools, [](admin::PoolView& sum, admin::PoolView& pool) {
    // A replication connection has neither size nor mode; the pool of its name may.
    if (sum.size < pool.size) sum.mode = std::move(pool.mode);
    sum.size = sum.key == pool.key ? std::max(sum.size, pool.size) : sum.size + pool.size;
    sum.key = std::move(pool.key);
    add_shard(sum, pool);
  });
}

bool are_counted_among_all(telemetry::PoolCounterTable& counters, unsigned workers,
                           const std::string& tenant) {
  const auto counts_others_of = [&](const std::string& whose) {
    for (unsigned worker = 0; worker < workers; ++worker) {
      if (counters.find({whose, "_other", "_other"}, worker) != nullptr) return true;
    }
    return false;
  };
  return !counts_others_of(tenant) && counts_others_of("_other");
}

void merge_uncounted(std::vector<admin::PoolView>& pools, const AmongAll& are_among_all) {
  if (std::ranges::all_of(pools, &admin::PoolView::is_counted)) return;
  for (admin::PoolView& pool : pools) {
    if (pool.is_counted) continue;
    pool.user = pool.database = "_other";
    if (are_among_all(pool.tenant)) pool.tenant = "_other";
  }
  merge(pools, [](admin::PoolView& sum, admin::PoolView& pool) {
    sum.size += pool.size;
    add_shard(sum, pool);
  });
}

}  // namespace penstock::server
