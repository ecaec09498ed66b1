// The table of all metrics: what each is called, counts and is labelled with. Exposition and manual are made from it.
//
// Home:       SHARED (constant).
// Invariants: counters end in _total, and units are base units (seconds, bytes), as Prometheus asks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace penstock::telemetry {

enum class MetricKind : std::uint8_t { kCounter, kGauge, kHistogram, kInfo };

enum class Metric : std::uint8_t {
  kBuild,
  kReady,
  kStartTime,
  kTenants,
  kTenantsPaused,
  kCatalogVersion,
  kCatalogFailing,
  kClients,
  kClientsMax,
  kClientsWaiting,
  kLongestWait,
  kServers,
  kPoolSize,
  kPoolPaused,
  kPoolFailing,
  kQueries,
  kTransactions,
  kBytesFromClients,
  kBytesToClients,
  kCheckouts,
  kCheckoutTime,
  kQueryTime,
  kSlowQueries,
  kLogins,
  kLoginFailures,
  kLoginBans,
  kErrors,
  kCancels,
  kPreparedHits,
  kPreparedMisses,
  kPins,
  kServerConnects,
  kServerConnectFailures,
  kAccepted,
  kTlsHandshakes,
  kWorkerClients,
  kWorkerCpu,
  kProcessCpu,
  kProcessMemory,
  kProcessFiles,
  kApiRequests,
  kApiConnections,
  kApiRefused,
  kLogDropped,
  kPoolsNotCounted,
  kCount
};

struct MetricRow {
  Metric metric;
  std::string_view name;
  MetricKind kind;
  std::string_view labels;  // separated by commas
  std::string_view help;
};

std::span<const MetricRow> metric_table();
const MetricRow& row_of(Metric metric);
// The table for the manual, between the markers of docs/manual/metrics.md.
std::string metrics_for_manual();

}  // namespace penstock::telemetry
