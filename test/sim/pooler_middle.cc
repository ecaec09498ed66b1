#include "sim/pooler_middle.h"

#include <algorithm>

#include "base/assert.h"
#include "telemetry/log.h"

namespace penstock::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

session::Instructions PoolerMiddle::instructions() {
  auto settings = std::make_shared<config::Settings>();
  settings->listeners = {{.address = address_.ip(), .port = address_.port()}};
  settings->pool_mode = options_.mode;
  settings->pool_size = pool_size_;
  // A pool without a size of its own uses all workers (session/placement.h): connections move between them.
  if (spread_) {
    settings->pool_size = 0;
    settings->max_upstreams_per_user = pool_size_;
  }
  // As quick as the tests' own patience; a slow answer is judged by the clients.
  settings->upstream_connect_timeout = seconds(3);
  settings->upstream_login_timeout = seconds(3);
  settings->upstream_login_retry = milliseconds(50);
  settings->upstream_login_retry_max = seconds(1);
  settings->cancel_wait_timeout = seconds(2);

  model::TenantSpec tenant{
      .id = "default", .hosts = {{.host = site_.server.address.ip(), .port = site_.server.address.port()}}};
  tenant.upstream_tls = model::TlsMode::kDisable;
  tenant.auth_method = options_.scram_clients ? model::AuthMethod::kScram : model::AuthMethod::kTrust;
  for (const auto& user : site_.users) {
    tenant.users.push_back({.name = user, .secret = site_.client.password});
  }
  if (options_.varied) vary(*settings, tenant);
  std::vector<model::TenantPtr> tenants = {std::make_shared<const model::TenantSpec>(tenant)};
  return {.settings = settings,
          .catalog = std::make_shared<const model::CatalogSnapshot>(std::move(tenants), "default"),
          .client_tls = nullptr};
}

// What makes connections come and go, statements be forgotten and clients be told things in between.
void PoolerMiddle::vary(config::Settings& settings, model::TenantSpec& tenant) {
  auto& random = world_.random();
  const auto sometimes = [&](std::uint64_t most) {
    return random.below(2) == 0 ? 0 : 1 + random.below(most);
  };
  const auto sometimes_ms = [&](std::uint64_t most) {
    return milliseconds(static_cast<std::int64_t>(sometimes(most)));
  };
  settings.max_prepared_statements = 1 + static_cast<int>(random.below(10));
  // Longer than a connection needs to become ready, or it is never used.
  settings.upstream_lifetime = random.below(2) == 0 ? milliseconds(0) : milliseconds(200 + random.below(400));
  settings.upstream_idle_timeout = sometimes_ms(100);
  settings.upstream_check_delay = sometimes_ms(30);
  settings.min_pool_size = static_cast<int>(sometimes(3));
  settings.reserve_pool_size = static_cast<int>(sometimes(2));
  settings.reserve_pool_timeout = sometimes_ms(20);
  settings.connects_per_second = random.below(2) == 0 ? 100 : 20 + static_cast<int>(random.below(200));
  settings.query_wait_notify = sometimes_ms(20);
  // A place for each client, so that no pool can keep them all; connections without a client must give way.
  const auto places = [&] { return random.below(2) == 0 ? 0 : 5 + static_cast<int>(random.below(4)); };
  settings.max_upstreams_per_tenant = places();
  settings.max_upstreams_per_database = places();
  settings.max_upstreams = places();
  if (random.below(3) == 0) tenant.connect_query = "SELECT sim_rows(2)";
  if (random.below(3) == 0) tenant.default_parameters = {{"work_mem", std::to_string(random.below(3))}};
}

// With faults, and where connections are closed while others are opened, the server may still count some that
// have long been over for the pooler.
void PoolerMiddle::tell_limit(const config::Settings& settings) {
  if (site_.tolerant || options_.varied || spread_) return;
  for (const auto& user : site_.users) {
    site_.checkers.limits.allow(user + "@" + site_.client.database,
                                options_.limit_told.value_or(settings.pool_size));
  }
}

PoolerMiddle::PoolerMiddle(const MiddleSite& site, const Options& options)
    : site_(site),
      options_(options),
      world_(site.world),
      pool_size_(options.pool_size_min + static_cast<int>(site.world.random().below(
                                             static_cast<std::uint64_t>(options.pool_size_max) + 1 -
                                             static_cast<std::uint64_t>(options.pool_size_min)))),
      spread_(!options.limit_told && options.workers_max > 1 && site.world.random().below(2) == 0) {
  // Clients that fail are what this is about; thousands of lines about them would hide the rest.
  telemetry::log::detail::level.store(telemetry::log::Level::kError, std::memory_order_relaxed);
  world_.random().fill({shared_.login_secret.data(), auth::Key::kSize});
  const auto told = instructions();
  tell_limit(*told.settings);
  const auto count = 1 + static_cast<unsigned>(world_.random().below(options.workers_max));
  for (unsigned i = 0; i < count; ++i) {
    auto loop = world_.make_loop("worker " + std::to_string(i));
    loops_.push_back(loop.get());
    auto worker = std::make_unique<server::Worker>(shared_, i, count, std::move(loop), told);
    const auto listening = worker->listen(told.settings->listeners);
    PENSTOCK_ASSERT(listening.has_value());
    shared_.workers.push_back(std::move(worker));
  }
}

void PoolerMiddle::reconfigure() {
  const auto told = instructions();
  for (auto& worker : shared_.workers) worker->instruct(told);
}

PoolerMiddle::~PoolerMiddle() = default;

void PoolerMiddle::drain() {
  for (auto& worker : shared_.workers) {
    worker->drain([this] {
      if (++drained_ < shared_.workers.size()) return;
      // The last words to clients that have gone take their time; stop() would not wait for all of it.
      world_.after(seconds(5), [this] {
        for (auto& each : shared_.workers) each->stop();
      });
    });
  }
}

bool PoolerMiddle::is_drained() const {
  return std::ranges::all_of(loops_, [](const io::SimLoop* loop) { return loop->has_stopped(); });
}

}  // namespace penstock::sim
