// What the process counts, written down for Prometheus.
#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>

#include "admin/api.h"
#include "base/version.h"
#include "telemetry/exposition.h"
#include "telemetry/log.h"

namespace penstock::admin {

namespace {

using telemetry::Exposition;
using telemetry::Label;
using telemetry::LabelText;
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
  telemetry::CoarseHistogram checkout, query;

  void add(const PoolCounters& counters) {
    counters.counts.add_to(counts);
    counters.pins.add_to(pins);
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += counters.errors[i].read();
    clients += counters.clients.read();
    checkout.add(counters.checkout);
    query.add(counters.query);
  }
};

// One pool: as it is now, as it has counted, or both.
struct PoolRow {
  LabelText labels;
  const PoolView* view = nullptr;
  std::unique_ptr<PoolSum> sum = nullptr;
};

auto key_of(const PoolView& pool) {
  return std::tie(pool.tenant, pool.user, pool.database);
}
auto key_of(const PoolLabels& pool) {
  return std::tie(pool.tenant, pool.user, pool.database);
}

template <class Pool>
LabelText labels_of(const Pool& pool) {
  const Label labels[] = {{"tenant", pool.tenant}, {"user", pool.user}, {"database", pool.database}};
  return LabelText(labels);
}

// Brings together what pools are and what they have counted; both come in the order of labels.
class PoolRows {
 public:
  explicit PoolRows(std::vector<PoolView> views) : views_(std::move(views)), next_view_(views_.begin()) {}

  void add(const PoolLabels& labels, const PoolCounters& counters) {
    if (!last_ || key_of(*last_) != key_of(labels)) {
      last_ = labels;
      take_views([&](const PoolView& view) { return key_of(view) < key_of(labels); });
      rows_.push_back({.labels = labels_of(labels), .sum = std::make_unique<PoolSum>()});
      if (next_view_ != views_.end() && key_of(*next_view_) == key_of(labels))
        rows_.back().view = &*next_view_++;
    }
    rows_.back().sum->add(counters);
  }
  void finish() {
    take_views([](const PoolView&) { return true; });
  }
  const std::vector<PoolRow>& rows() const { return rows_; }

 private:
  void take_views(auto wanted) {
    for (; next_view_ != views_.end() && wanted(*next_view_); ++next_view_) {
      rows_.push_back({.labels = labels_of(*next_view_), .view = &*next_view_});
    }
  }

  std::vector<PoolView> views_;
  std::vector<PoolView>::const_iterator next_view_;
  std::optional<PoolLabels> last_;
  std::vector<PoolRow> rows_;
};

// What stands in the series of one metric of one pool; nothing when the pool has none.
struct PoolMetric {
  Metric metric;
  void (*write)(Exposition& out, const PoolRow& row);
};

template <class Value>
void sample_of_view(Exposition& out, const PoolRow& row, Value value) {
  if (row.view != nullptr) out.sample(row.labels, value(*row.view));
}

template <PoolCount kCount>
void write_count(Exposition& out, const PoolRow& row) {
  if (row.sum != nullptr) out.sample(row.labels, row.sum->counts[static_cast<std::size_t>(kCount)]);
}

void write_clients(Exposition& out, const PoolRow& row) {
  if (row.view == nullptr) return;
  const auto all =
      row.sum == nullptr ? 0 : static_cast<std::uint64_t>(std::max<std::int64_t>(0, row.sum->clients));
  const std::uint64_t busy = row.view->active + row.view->waiting;
  out.sample(row.labels, {"state", "idle"}, all > busy ? all - busy : 0);
  out.sample(row.labels, {"state", "waiting"}, row.view->waiting);
  out.sample(row.labels, {"state", "active"}, row.view->active);
}

void write_servers(Exposition& out, const PoolRow& row) {
  if (row.view == nullptr) return;
  out.sample(row.labels, {"state", "idle"}, row.view->idle);
  out.sample(row.labels, {"state", "active"}, row.view->active);
  out.sample(row.labels, {"state", "cleaning"}, row.view->cleaning);
  out.sample(row.labels, {"state", "connecting"}, row.view->connecting);
}

void write_errors(Exposition& out, const PoolRow& row) {
  for (std::size_t i = 0; row.sum != nullptr && i < row.sum->errors.size(); ++i) {
    if (row.sum->errors[i] == 0) continue;
    out.sample(row.labels, {"class", telemetry::error_class_word(i)}, row.sum->errors[i]);
  }
}

void write_pins(Exposition& out, const PoolRow& row) {
  for (std::size_t i = 0; row.sum != nullptr && i < row.sum->pins.size(); ++i) {
    if (row.sum->pins[i] == 0) continue;
    out.sample(row.labels, {"reason", word_of(static_cast<telemetry::PinReason>(i))}, row.sum->pins[i]);
  }
}

constexpr PoolMetric kPoolMetrics[] = {
    {Metric::kClients, write_clients},
    {Metric::kClientsWaiting,
     [](Exposition& out, const PoolRow& row) {
       sample_of_view(out, row, [](const PoolView& pool) { return std::uint64_t{pool.waiting}; });
     }},
    {Metric::kLongestWait,
     [](Exposition& out, const PoolRow& row) {
       sample_of_view(out, row, [](const PoolView& pool) {
         return static_cast<double>(pool.longest_wait.count()) / 1000;
       });
     }},
    {Metric::kServers, write_servers},
    {Metric::kPoolSize,
     [](Exposition& out, const PoolRow& row) {
       sample_of_view(out, row, [](const PoolView& pool) { return static_cast<std::uint64_t>(pool.size); });
     }},
    {Metric::kPoolPaused,
     [](Exposition& out, const PoolRow& row) {
       sample_of_view(out, row,
                      [](const PoolView& pool) { return std::uint64_t{pool.state != PoolState::kActive}; });
     }},
    {Metric::kPoolFailing,
     [](Exposition& out, const PoolRow& row) {
       sample_of_view(out, row, [](const PoolView& pool) { return std::uint64_t{!pool.last_error.empty()}; });
     }},
    {Metric::kQueries, write_count<PoolCount::kQueries>},
    {Metric::kTransactions, write_count<PoolCount::kTransactions>},
    {Metric::kBytesFromClients, write_count<PoolCount::kBytesFromClients>},
    {Metric::kBytesToClients, write_count<PoolCount::kBytesToClients>},
    {Metric::kCheckouts, write_count<PoolCount::kCheckouts>},
    {Metric::kLogins, write_count<PoolCount::kLogins>},
    {Metric::kPreparedHits, write_count<PoolCount::kPreparedHits>},
    {Metric::kPreparedMisses, write_count<PoolCount::kPreparedMisses>},
    {Metric::kServerConnects, write_count<PoolCount::kConnects>},
    {Metric::kServerConnectFailures, write_count<PoolCount::kConnectFailures>},
    {Metric::kSlowQueries, write_count<PoolCount::kSlowQueries>},
    {Metric::kErrors, write_errors},
    {Metric::kPins, write_pins},
    {Metric::kCheckoutTime,
     [](Exposition& out, const PoolRow& row) {
       if (row.sum != nullptr) out.histogram(row.labels, row.sum->checkout);
     }},
    {Metric::kQueryTime,
     [](Exposition& out, const PoolRow& row) {
       if (row.sum != nullptr) out.histogram(row.labels, row.sum->query);
     }},
};

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
  per_worker(Metric::kWorkerClients, [](const WorkerView& worker) { return std::uint64_t{worker.clients}; });
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

// The text, made while it is sent: first the sums, then one metric after the other. Without that, ten thousand pools would
// be 50 MB at once, and the control thread would do nothing else for as long as it takes to write them down.
class MetricsText final : public http::BodyParts {
 public:
  MetricsText(Engine& engine, std::string tenant, Exposition::Form form, std::vector<PoolView> views)
      : tenant_(std::move(tenant)), out_(form), rows_(std::move(views)), counters_(engine.pool_counters()) {
    if (tenant_.empty()) write_process(out_, engine);
  }

  bool next(std::string& part) override {
    if (!is_summed_up_) {
      sum_up();
      return true;
    }
    while (out_.size() < kPartBytes && metric_ != std::end(kPoolMetrics)) write_some();
    const bool is_over = metric_ == std::end(kPoolMetrics);
    part = is_over ? out_.finish() : out_.take();
    return !is_over;
  }

 private:
  static constexpr std::size_t kPartBytes = 64 * 1024;

  void sum_up() {
    const bool more = counters_.step(
        [this](const PoolLabels& labels, const PoolCounters& counters) {
          if (tenant_.empty() || labels.tenant == tenant_) rows_.add(labels, counters);
        },
        telemetry::PoolCounterTable::Clock::now());
    if (more) return;
    rows_.finish();
    is_summed_up_ = true;
  }

  void write_some() {
    if (row_ == 0) out_.begin(metric_->metric);
    const std::vector<PoolRow>& rows = rows_.rows();
    while (row_ < rows.size()) {
      metric_->write(out_, rows[row_++]);
      if (out_.size() >= kPartBytes) break;
    }
    if (row_ < rows.size()) return;
    row_ = 0;
    ++metric_;
  }

  const std::string tenant_;
  Exposition out_;
  PoolRows rows_;
  telemetry::PoolCounterTable::Walk counters_;
  bool is_summed_up_ = false;
  const PoolMetric* metric_ = std::begin(kPoolMetrics);
  std::size_t row_ = 0;
};

}  // namespace

void write_metrics(Engine& engine, std::string tenant, std::string_view accept, http::Respond respond) {
  const Exposition::Form form = Exposition::form_for(accept);
  LookWish wish{.pools = true, .as_counted = true, .tenant = tenant};
  engine.look(std::move(wish), [&engine, tenant = std::move(tenant), form,
                                respond = std::move(respond)](Findings findings) mutable {
    respond(
        {.content_type = std::string(Exposition::content_type(form)),
         .parts = std::make_shared<MetricsText>(engine, std::move(tenant), form, std::move(findings.pools))});
  });
}

}  // namespace penstock::admin
