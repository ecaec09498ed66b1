// TopSample: what a server's metrics said at one moment; and TopRow: what happened in a pool between two of them.
//
// Home: any thread (pure functions).
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace penstock::cli {

struct PoolFigures {
  double clients_idle = 0, clients_active = 0, waiting = 0, longest_wait = 0;
  double servers_idle = 0, servers_active = 0, servers_cleaning = 0, servers_connecting = 0, size = 0;
  bool is_failing = false;
  // Since the server's start.
  double queries = 0, errors = 0, slow = 0, query_seconds = 0, wait_seconds = 0, checkouts = 0;
  std::map<double, double> buckets = {};  // queries that took so many seconds or less
};

struct SlowLine {
  std::string at, tenant, user, database, query;
  double duration_ms = 0, wait_ms = 0;
};

struct TopSample {
  using Key = std::tuple<std::string, std::string, std::string>;  // tenant, user, database
  std::chrono::steady_clock::time_point at{};
  std::map<Key, PoolFigures> pools = {};
  std::string version = {};
  double clients_max = 0, tenants = 0, workers = 0, worker_cpu = 0, memory = 0, started = 0;
  bool is_ready = false;
  bool catalog_fails = false;
  std::vector<SlowLine> slow = {};  // newest first
};

// Of the text of /metrics.
TopSample sample_of(std::string_view metrics);
// Of the body of /api/slow-queries.
std::vector<SlowLine> slow_lines_of(std::string_view json);

struct TopRow {
  std::string tenant, user, database;  // the last two are empty in a row for a whole tenant
  PoolFigures now;
  double queries_per_second = 0, errors_per_second = 0, slow_per_second = 0;
  double mean_ms = 0, p95_ms = 0;  // of queries
};

enum class TopBy : unsigned char { kPool, kTenant };
// `before` may be of another life of the server: rates are never negative.
std::vector<TopRow> rows_of(const TopSample& before, const TopSample& now, TopBy by);

}  // namespace penstock::cli
