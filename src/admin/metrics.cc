// What the process counts, written down for Prometheus.
#include <map>

#include "admin/api.h"
#include "base/version.h"
#include "telemetry/exposition.h"
#include "telemetry/log.h"

namespace penstock::admin {

namespace {

using telemetry::Exposition;
using telemetry::Label;
using telemetry::Metric;
using telemetry::PoolCount;
using telemetry::PoolCounters;
using telemetry::PoolLabels;

// What all workers have counted for one pool.
struct PoolSum {
  telemetry::CounterSet<PoolCount>::Snapshot counts{};
  telemetry::CounterSet<telemetry::PinReason>::Snapshot pins{};
  std::array<std::uint64_t, telemetry::kErrorClasses> errors{};
  std::int64_t clients = 0;
  telemetry::HistogramSnapshot checkout, query;
};
using PoolSums = std::map<PoolLabels, PoolSum>;

PoolSums sum_up(Engine& engine, const std::string& tenant) {
  PoolSums sums;
  engine.pool_counters().for_each(
      [&](const PoolLabels& labels, const PoolCounters& counters) {
        if (!tenant.empty() && labels.tenant != tenant) return;
        PoolSum& sum = sums[labels];
        counters.counts.add_to(sum.counts);
        counters.pins.add_to(sum.pins);
        for (std::size_t i = 0; i < sum.errors.size(); ++i) sum.errors[i] += counters.errors[i].read();
        sum.clients += counters.clients.read();
        sum.checkout.add(counters.checkout);
        sum.query.add(counters.query);
      },
      telemetry::PoolCounterTable::Clock::now());
  return sums;
}

// The labels of a pool, and one more.
struct PoolSeries {
  PoolSeries(std::string_view tenant, std::string_view user, std::string_view database)
      : labels{{{"tenant", tenant}, {"user", user}, {"database", database}, {}}} {}
  telemetry::Labels plain() const { return {labels.data(), 3}; }
  telemetry::Labels with(std::string_view name, std::string_view value) {
    labels[3] = {name, value};
    return labels;
  }
  std::array<Label, 4> labels;
};
PoolSeries series_of(const PoolLabels& labels) {
  return {labels.tenant, labels.user, labels.database};
}
PoolSeries series_of(const PoolView& pool) {
  return {pool.tenant, pool.user, pool.database};
}

void write_counters(Exposition& out, const PoolSums& sums) {
  constexpr std::pair<Metric, PoolCount> kCounters[] = {
      {Metric::kQueries, PoolCount::kQueries},
      {Metric::kTransactions, PoolCount::kTransactions},
      {Metric::kBytesFromClients, PoolCount::kBytesFromClients},
      {Metric::kBytesToClients, PoolCount::kBytesToClients},
      {Metric::kCheckouts, PoolCount::kCheckouts},
      {Metric::kLogins, PoolCount::kLogins},
      {Metric::kPreparedHits, PoolCount::kPreparedHits},
      {Metric::kPreparedMisses, PoolCount::kPreparedMisses},
      {Metric::kServerConnects, PoolCount::kConnects},
      {Metric::kServerConnectFailures, PoolCount::kConnectFailures},
      {Metric::kSlowQueries, PoolCount::kSlowQueries},
  };
  for (const auto& [metric, count] : kCounters) {
    out.begin(metric);
    for (const auto& [labels, sum] : sums) {
      out.sample(series_of(labels).plain(), sum.counts[static_cast<std::size_t>(count)]);
    }
  }
  out.begin(Metric::kErrors);
  for (const auto& [labels, sum] : sums) {
    for (std::size_t i = 0; i < sum.errors.size(); ++i) {
      if (sum.errors[i] == 0) continue;
      out.sample(series_of(labels).with("class", telemetry::error_class_word(i)), sum.errors[i]);
    }
  }
  out.begin(Metric::kPins);
  for (const auto& [labels, sum] : sums) {
    for (std::size_t i = 0; i < sum.pins.size(); ++i) {
      if (sum.pins[i] == 0) continue;
      out.sample(series_of(labels).with("reason", word_of(static_cast<telemetry::PinReason>(i))),
                 sum.pins[i]);
    }
  }
  out.begin(Metric::kCheckoutTime);
  for (const auto& [labels, sum] : sums) out.histogram(series_of(labels).plain(), sum.checkout);
  out.begin(Metric::kQueryTime);
  for (const auto& [labels, sum] : sums) out.histogram(series_of(labels).plain(), sum.query);
}

void write_pools(Exposition& out, const std::vector<PoolView>& pools, const PoolSums& sums) {
  const auto each = [&](Metric metric, auto value) {
    out.begin(metric);
    for (const PoolView& pool : pools) out.sample(series_of(pool).plain(), value(pool));
  };
  out.begin(Metric::kClients);
  for (const PoolView& pool : pools) {
    const auto found = sums.find({pool.tenant, pool.user, pool.database});
    const auto all = found == sums.end()
                         ? 0
                         : static_cast<std::uint64_t>(std::max<std::int64_t>(0, found->second.clients));
    const std::uint64_t busy = pool.active + pool.waiting;
    PoolSeries series = series_of(pool);
    out.sample(series.with("state", "idle"), all > busy ? all - busy : 0);
    out.sample(series.with("state", "waiting"), std::uint64_t{pool.waiting});
    out.sample(series.with("state", "active"), std::uint64_t{pool.active});
  }
  each(Metric::kClientsWaiting, [](const PoolView& pool) { return std::uint64_t{pool.waiting}; });
  each(Metric::kLongestWait,
       [](const PoolView& pool) { return static_cast<double>(pool.longest_wait.count()) / 1000; });
  out.begin(Metric::kServers);
  for (const PoolView& pool : pools) {
    PoolSeries series = series_of(pool);
    out.sample(series.with("state", "idle"), std::uint64_t{pool.idle});
    out.sample(series.with("state", "active"), std::uint64_t{pool.active});
    out.sample(series.with("state", "cleaning"), std::uint64_t{pool.cleaning});
    out.sample(series.with("state", "connecting"), std::uint64_t{pool.connecting});
  }
  each(Metric::kPoolSize, [](const PoolView& pool) { return static_cast<std::uint64_t>(pool.size); });
  each(Metric::kPoolPaused,
       [](const PoolView& pool) { return std::uint64_t{pool.state != PoolState::kActive}; });
  each(Metric::kPoolFailing, [](const PoolView& pool) { return std::uint64_t{!pool.last_error.empty()}; });
}

void write_workers(Exposition& out, const ProcessView& process) {
  const auto per_worker = [&](Metric metric, auto value) {
    out.begin(metric);
    for (std::size_t i = 0; i < process.workers.size(); ++i) {
      const std::string number = std::to_string(i);
      const Label labels[] = {{"worker", number}};
      out.sample(labels, value(process.workers[i]));
    }
  };
  using telemetry::WorkerCount;
  per_worker(Metric::kAccepted,
             [](const WorkerView& worker) { return worker.counters->counts[WorkerCount::kAccepted].read(); });
  per_worker(Metric::kWorkerSockets, [](const WorkerView& worker) { return std::uint64_t{worker.sessions}; });
  per_worker(Metric::kWorkerCpu, [](const WorkerView& worker) { return worker.cpu_seconds; });
  telemetry::CounterSet<WorkerCount>::Snapshot counts{};
  telemetry::CounterSet<telemetry::LoginFailure>::Snapshot failures{};
  for (const WorkerView& worker : process.workers) {
    worker.counters->counts.add_to(counts);
    worker.counters->failures.add_to(failures);
  }
  out.begin(Metric::kCancels);
  out.sample({}, counts[static_cast<std::size_t>(WorkerCount::kCancels)]);
  out.begin(Metric::kTlsHandshakes);
  const Label ok[] = {{"result", "ok"}}, failed[] = {{"result", "failed"}};
  out.sample(ok, counts[static_cast<std::size_t>(WorkerCount::kTlsOk)]);
  out.sample(failed, counts[static_cast<std::size_t>(WorkerCount::kTlsFailed)]);
  out.begin(Metric::kLoginFailures);
  for (std::size_t i = 0; i < failures.size(); ++i) {
    const Label labels[] = {{"reason", word_of(static_cast<telemetry::LoginFailure>(i))}};
    out.sample(labels, failures[i]);
  }
  out.begin(Metric::kLoginBans);
  out.sample({}, counts[static_cast<std::size_t>(WorkerCount::kBans)]);
}

void write_process(Exposition& out, Engine& engine) {
  const ProcessView process = engine.process();
  const auto one = [&](Metric metric, auto value) {
    out.begin(metric);
    out.sample({}, value);
  };
  out.begin(Metric::kBuild);
  const Label version[] = {{"version", base::kVersion}};
  out.sample(version, std::uint64_t{1});
  one(Metric::kReady, std::uint64_t{engine.unready().empty()});
  one(Metric::kStartTime, std::chrono::duration<double>(process.started.time_since_epoch()).count());
  one(Metric::kTenants, std::uint64_t{engine.catalog().snapshot()->size()});
  one(Metric::kTenantsPaused, std::uint64_t{engine.paused().tenants.size()});
  one(Metric::kCatalogVersion, engine.catalog().snapshot()->version());
  one(Metric::kCatalogFailing, std::uint64_t{engine.catalog().trouble().has_value()});
  one(Metric::kClientsMax, std::uint64_t{process.clients_max});
  write_workers(out, process);
  one(Metric::kProcessCpu, process.cpu_seconds);
  one(Metric::kProcessMemory, process.resident_bytes);
  one(Metric::kProcessFiles, process.open_files);
  one(Metric::kApiRequests, process.api_requests);
  one(Metric::kApiConnections, process.api_connections);
  one(Metric::kApiRefused, process.api_refused);
  one(Metric::kLogDropped, telemetry::log::dropped());
  one(Metric::kPoolsNotCounted, engine.pool_counters().overflow());
}

}  // namespace

void write_metrics(Engine& engine, std::string tenant, std::string_view accept, http::Respond respond) {
  const Exposition::Form form = Exposition::form_for(accept);
  LookWish wish{.pools = true, .tenant = tenant};
  engine.look(std::move(wish),
              [&engine, tenant, form, respond = std::move(respond)](const Findings& findings) mutable {
                Exposition out(form);
                if (tenant.empty()) write_process(out, engine);
                const PoolSums sums = sum_up(engine, tenant);
                write_pools(out, findings.pools, sums);
                write_counters(out, sums);
                respond({.content_type = std::string(Exposition::content_type(form)), .body = out.finish()});
              });
}

}  // namespace penstock::admin
