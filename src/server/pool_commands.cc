// What the API can do with clients and pools that run: end them, replace them, hold them up.
#include "server/api_service.h"
#include "server/gathering.h"
#include "session/pool_plan.h"

namespace penstock::server {

namespace {

constexpr std::chrono::milliseconds kLookAgain{10};
// Of tenants that are tried out at the same time; of one tenant.
constexpr std::size_t kTrialsMax = 16;
constexpr std::size_t kTrialsOfTenantMax = 2;
// Of pauses that wait for transactions to end; each holds a connection of the HTTP port meanwhile, of which all tenants
// together get one in four.
constexpr std::size_t kWaitingPausesOfTenantMax = 2;
constexpr std::size_t kConnectionsPerWaitingPause = 4;

base::Error administrator_command() {
  return {.sqlstate = base::kAdminShutdown, .message = "terminating connection due to administrator command"};
}

// Sessions of the scope that have logged in. Ending one may take it out of `sessions`, so they are listed first.
std::vector<session::Session*> sessions_in(const admin::PoolScope& scope, Worker::Sessions& sessions) {
  std::vector<session::Session*> found;
  for (auto& [id, session] : sessions) {
    if (session->logged_in() && session->pool() != nullptr &&
        scope.has(pool::name_of(session->pool()->config()))) {
      found.push_back(session.get());
    }
  }
  return found;
}

void retire(const admin::PoolScope& scope, session::PoolSet& pools, base::TimePoint ordered_at) {
  pools.for_all_of(scope.tenant, [&](pool::Pool& pool) {
    if (scope.has(pool::name_of(pool.config()))) pool.retire_upstreams(ordered_at);
  });
}

}  // namespace

bool ApiService::may_try_out(const std::string& tenant) const {
  return trials_.size() < kTrialsMax && trials_.count(tenant) < kTrialsOfTenantMax;
}

void ApiService::try_out(model::TenantPtr tenant, std::move_only_function<void(base::Status)> done) {
  const auto place = trials_.insert(tenant->id);
  process_.shared.workers.front()->try_out(
      std::move(tenant), [this, place, done = std::move(done)](base::Status status) mutable {
        process_.loop.post([this, place, done = std::move(done), status = std::move(status)]() mutable {
          trials_.erase(place);
          done(std::move(status));
        });
      });
}

void ApiService::kill_client(std::uint64_t id, std::vector<std::string> tenants,
                             std::move_only_function<void(std::string tenant)> done) {
  // A session may have moved since it got its id, so all are asked.
  ask_workers<std::string>(
      process_.loop, process_.shared.workers,
      [id, tenants = std::move(tenants)](unsigned, session::PoolSet&,
                                         Worker::Sessions& sessions) -> std::string {
        const auto found = sessions.find(id);
        if (found == sessions.end() || !found->second->logged_in()) return {};
        std::string tenant = found->second->identity().tenant->id;
        if (!tenants.empty() && std::ranges::find(tenants, tenant) == tenants.end()) return {};
        found->second->end_now(administrator_command());
        return tenant;
      },
      std::move(done));
}

void ApiService::terminate(std::string tenant, std::move_only_function<void(std::size_t)> done) {
  ask_workers<std::size_t>(
      process_.loop, process_.shared.workers,
      [scope = admin::PoolScope{.tenant = std::move(tenant)}, ordered_at = std::chrono::steady_clock::now()](
          unsigned, session::PoolSet& pools, Worker::Sessions& sessions) {
        const auto ends = sessions_in(scope, sessions);
        for (session::Session* session : ends) session->end_now(administrator_command());
        retire(scope, pools, ordered_at);
        return ends.size();
      },
      std::move(done));
}

void ApiService::reconnect(admin::PoolScope scope, std::move_only_function<void()> done) {
  ask_workers<bool>(
      process_.loop, process_.shared.workers,
      [scope = std::move(scope), ordered_at = std::chrono::steady_clock::now()](
          unsigned, session::PoolSet& pools, Worker::Sessions&) {
        retire(scope, pools, ordered_at);
        return true;
      },
      [done = std::move(done)](bool) mutable { done(); });
}

void ApiService::drain(admin::PoolScope scope, std::move_only_function<void(std::size_t)> done) {
  ask_workers<std::size_t>(
      process_.loop, process_.shared.workers,
      [scope = std::move(scope), ordered_at = std::chrono::steady_clock::now()](
          unsigned, session::PoolSet& pools, Worker::Sessions& sessions) {
        const auto ends = sessions_in(scope, sessions);
        for (session::Session* session : ends) session->drain();
        retire(scope, pools, ordered_at);
        return ends.size();
      },
      std::move(done));
}

// --- pauses ---

void ApiService::change_pauses(pool::PauseList pauses) {
  pauses_ = std::make_shared<const pool::PauseList>(std::move(pauses));
  for (const auto& worker : process_.shared.workers) {
    worker->on_loop([pauses = pauses_](session::PoolSet& pools, Worker::Sessions&) { pools.follow(pauses); });
  }
}

bool ApiService::may_wait_for_pause(const std::string& tenant) const {
  const auto connections = static_cast<std::size_t>(configuration().settings.api_max_connections);
  return waiting_pauses_.size() < connections / kConnectionsPerWaitingPause &&
         waiting_pauses_.count(tenant) < kWaitingPausesOfTenantMax;
}

void ApiService::pause(admin::PoolScope scope, std::chrono::milliseconds patience,
                       std::move_only_function<void(std::size_t)> done) {
  if (may_wait_for_pause(scope.tenant)) {
    const auto place = waiting_pauses_.insert(scope.tenant);
    done = [this, place, done = std::move(done)](std::size_t left) mutable {
      waiting_pauses_.erase(place);
      done(left);
    };
  } else {
    patience = {};
  }
  pool::PauseList pauses = *pauses_;
  scope.is_tenant() ? (void)pauses.tenants.insert(scope.tenant) : (void)pauses.pools.insert(scope.pool());
  change_pauses(std::move(pauses));
  // Nothing is counted before the workers know: a pool with clients may not have opened its servers yet.
  settle([this, scope = std::move(scope), until = std::chrono::steady_clock::now() + patience,
          done = std::move(done)](bool) mutable { await_closed(std::move(scope), until, std::move(done)); });
}

// How many there are, on all workers.
int ApiService::upstreams_of(const admin::PoolScope& scope) const {
  const auto open = [&](const std::string& name) {
    return process_.shared.ledger.scope(name)->open.load(std::memory_order_relaxed);
  };
  if (scope.is_tenant()) return open(pool::upstreams_of_tenant(scope.tenant));
  const model::TenantPtr tenant = process_.catalog.snapshot()->by_id(scope.tenant);
  if (tenant == nullptr) return 0;
  int sum = open(pool::upstreams_of_pool(session::replication_key(scope.pool())));
  for (const std::string& key : session::pool_keys(*tenant, scope.pool())) {
    sum += open(pool::upstreams_of_pool(key));
  }
  return sum;
}

void ApiService::await_closed(admin::PoolScope scope, std::chrono::steady_clock::time_point until,
                              std::move_only_function<void(std::size_t)> done) {
  const int left = upstreams_of(scope);
  const bool is_paused =
      scope.is_tenant() ? pauses_->tenants.contains(scope.tenant) : pauses_->covers(scope.pool());
  if (left <= 0 || !is_paused || std::chrono::steady_clock::now() >= until) {
    return done(static_cast<std::size_t>(std::max(left, 0)));
  }
  process_.loop.after(kLookAgain, [this, scope = std::move(scope), until, done = std::move(done)]() mutable {
    await_closed(std::move(scope), until, std::move(done));
  });
}

void ApiService::resume(admin::PoolScope scope) {
  pool::PauseList pauses = *pauses_;
  if (scope.is_tenant()) pauses.tenants.erase(scope.tenant);
  std::erase_if(pauses.pools, [&](const pool::PoolName& name) { return scope.has(name); });
  change_pauses(std::move(pauses));
}

void ApiService::follow(const model::CatalogSnapshot& snapshot) {
  const auto is_gone = [&](const std::string& tenant) { return snapshot.by_id(tenant) == nullptr; };
  pool::PauseList pauses = *pauses_;
  const std::size_t gone =
      std::erase_if(pauses.tenants, is_gone) +
      std::erase_if(pauses.pools, [&](const pool::PoolName& name) { return is_gone(name.tenant); });
  if (gone > 0) change_pauses(std::move(pauses));
}

}  // namespace penstock::server
