#include "telemetry/metric_table.h"

#include <fmt/format.h>

#include "base/assert.h"

namespace penstock::telemetry {

namespace {

using enum MetricKind;

constexpr std::string_view kPool = "tenant,user,database";

constexpr MetricRow kTable[] = {
    {Metric::kBuild, "penstock_build_info", kInfo, "version", "The version that runs."},
    {Metric::kReady, "penstock_ready", kGauge, "",
     "1 when the process takes clients, else 0; /api/ready says why."},
    {Metric::kStartTime, "process_start_time_seconds", kGauge, "",
     "When the process began, in seconds since 1970."},
    {Metric::kTenants, "penstock_tenants", kGauge, "", "Tenants in the catalog."},
    {Metric::kTenantsPaused, "penstock_tenants_paused", kGauge, "", "Tenants whose clients wait by command."},
    {Metric::kCatalogVersion, "penstock_catalog_version", kGauge, "",
     "Version of the catalog in force; every change makes it larger."},
    {Metric::kCatalogFailing, "penstock_catalog_failing", kGauge, "",
     "1 while the catalog cannot be read and the last good state stays in force."},
    {Metric::kClients, "penstock_clients", kGauge, "tenant,user,database,state",
     "Clients that are logged in: idle, waiting for a server, active (have one)."},
    {Metric::kClientsMax, "penstock_clients_max", kGauge, "", "Clients that the process takes."},
    {Metric::kClientsWaiting, "penstock_clients_waiting", kGauge, kPool, "Clients that wait for a server."},
    {Metric::kLongestWait, "penstock_clients_longest_wait_seconds", kGauge, kPool,
     "How long the client that has waited longest has waited so far."},
    {Metric::kServers, "penstock_servers", kGauge, "tenant,user,database,state",
     "Server connections: idle, active (lent to a client), cleaning (made ready for the next), connecting."},
    {Metric::kPoolSize, "penstock_pool_size", kGauge, kPool, "Server connections that the pool may open."},
    {Metric::kPoolPaused, "penstock_pool_paused", kGauge, kPool,
     "1 while clients of the pool wait because it or its tenant is paused."},
    {Metric::kPoolFailing, "penstock_pool_failing", kGauge, kPool,
     "1 when the last attempt to connect to the server failed."},
    {Metric::kQueries, "penstock_queries_total", kCounter, kPool,
     "Requests that were answered: simple queries, and batches of the extended protocol up to Sync."},
    {Metric::kTransactions, "penstock_transactions_total", kCounter, kPool,
     "Transactions that ended; a query outside a transaction block is one."},
    {Metric::kBytesFromClients, "penstock_client_received_bytes_total", kCounter, kPool,
     "Bytes of the protocol received from clients that are logged in."},
    {Metric::kBytesToClients, "penstock_client_sent_bytes_total", kCounter, kPool,
     "Bytes of the protocol received from servers for clients."},
    {Metric::kCheckouts, "penstock_checkouts_total", kCounter, kPool, "Times a client was given a server."},
    {Metric::kCheckoutTime, "penstock_checkout_duration_seconds", kHistogram, kPool,
     "From a client's first message to the server it is given."},
    {Metric::kQueryTime, "penstock_query_duration_seconds", kHistogram, kPool,
     "From a request, once it has a server, to the server's ReadyForQuery."},
    {Metric::kSlowQueries, "penstock_slow_queries_total", kCounter, kPool,
     "Requests that ran longer than the pool's slow_query; 0 where none is set."},
    {Metric::kLogins, "penstock_logins_total", kCounter, kPool, "Clients that have logged in."},
    {Metric::kLoginFailures, "penstock_login_failures_total", kCounter, "reason",
     "Clients that were refused, by reason."},
    {Metric::kLoginBans, "penstock_login_bans_total", kCounter, "",
     "Addresses that were banned from a tenant for a while, for too many wrong passwords."},
    {Metric::kErrors, "penstock_errors_total", kCounter, "tenant,user,database,class",
     "Errors that servers have reported to clients, by class of SQLSTATE (its first two characters)."},
    {Metric::kCancels, "penstock_cancels_total", kCounter, "", "Cancel requests of clients."},
    {Metric::kPreparedHits, "penstock_prepared_hits_total", kCounter, kPool,
     "Uses of a named statement that its server had already."},
    {Metric::kPreparedMisses, "penstock_prepared_misses_total", kCounter, kPool,
     "Named statements that were sent to a server ahead of their use."},
    {Metric::kPins, "penstock_pins_total", kCounter, "tenant,user,database,reason",
     "Clients that had to keep their server, by reason."},
    {Metric::kServerConnects, "penstock_server_connects_total", kCounter, kPool,
     "Connections to the server that were opened and logged in."},
    {Metric::kServerConnectFailures, "penstock_server_connect_failures_total", kCounter, kPool,
     "Attempts to connect to the server that failed."},
    {Metric::kAccepted, "penstock_connections_accepted_total", kCounter, "worker",
     "Connections accepted on the ports for Postgres clients."},
    {Metric::kTlsHandshakes, "penstock_tls_handshakes_total", kCounter, "result",
     "TLS handshakes with clients: ok, failed."},
    {Metric::kWorkerClients, "penstock_worker_sessions", kGauge, "worker",
     "Clients of one worker, those that log in included."},
    {Metric::kWorkerCpu, "penstock_worker_cpu_seconds_total", kCounter, "worker",
     "CPU time of the worker's loop. Its rate is the loop's utilisation: at 1 a worker is saturated."},
    {Metric::kProcessCpu, "process_cpu_seconds_total", kCounter, "",
     "CPU time of the process, user and system."},
    {Metric::kProcessMemory, "process_resident_memory_bytes", kGauge, "", "Resident memory."},
    {Metric::kProcessFiles, "process_open_fds", kGauge, "",
     "Open file descriptors; with io_uring most connections need none."},
    {Metric::kApiRequests, "penstock_api_requests_total", kCounter, "", "Requests to the HTTP port."},
    {Metric::kApiConnections, "penstock_api_connections", kGauge, "", "Connections to the HTTP port."},
    {Metric::kApiRefused, "penstock_api_connections_refused_total", kCounter, "",
     "Connections to the HTTP port that were refused because all places were taken."},
    {Metric::kLogDropped, "penstock_log_lines_dropped_total", kCounter, "",
     "Log lines lost because the queue was full, or because they could not be written."},
    {Metric::kPoolsNotCounted, "penstock_metrics_pools_overflow_total", kCounter, "",
     "Pools whose counters went to the series `_other` because there were too many pools."},
};

constexpr std::string_view word_of(MetricKind kind) {
  return kind == kCounter ? "counter" : kind == kGauge ? "gauge" : kind == kHistogram ? "histogram" : "info";
}

}  // namespace

std::span<const MetricRow> metric_table() {
  return kTable;
}

const MetricRow& row_of(Metric metric) {
  const MetricRow& row = kTable[static_cast<std::size_t>(metric)];
  PENSTOCK_ASSERT(row.metric == metric);
  return row;
}

std::string metrics_for_manual() {
  std::string text = "\n| name | type | labels | what it is |\n| --- | --- | --- | --- |\n";
  for (const MetricRow& row : kTable) {
    std::string labels(row.labels);
    for (std::size_t at = labels.find(','); at != std::string::npos; at = labels.find(',', at + 2)) {
      labels.replace(at, 1, ", ");
    }
    text += fmt::format("| `{}` | {} | {} | {} |\n", row.name, word_of(row.kind), labels, row.help);
  }
  return text + "\n";
}

}  // namespace penstock::telemetry
