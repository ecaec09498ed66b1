#include "cli/top_sample.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>

#include "cli/metrics_text.h"

namespace penstock::cli {

namespace {

namespace json = boost::json;

using Member = double PoolFigures::*;

Member member_of_state(std::string_view metric, std::string_view state) {
  if (metric == "penstock_clients") {
    return state == "idle"     ? &PoolFigures::clients_idle
           : state == "active" ? &PoolFigures::clients_active
                               : nullptr;
  }
  return state == "idle"       ? &PoolFigures::servers_idle
         : state == "active"   ? &PoolFigures::servers_active
         : state == "cleaning" ? &PoolFigures::servers_cleaning
                               : &PoolFigures::servers_connecting;
}

Member member_of(std::string_view metric) {
  static const std::map<std::string_view, Member> kMembers = {
      {"penstock_clients_waiting", &PoolFigures::waiting},
      {"penstock_clients_longest_wait_seconds", &PoolFigures::longest_wait},
      {"penstock_pool_size", &PoolFigures::size},
      {"penstock_queries_total", &PoolFigures::queries},
      {"penstock_errors_total", &PoolFigures::errors},
      {"penstock_slow_queries_total", &PoolFigures::slow},
      {"penstock_query_duration_seconds_sum", &PoolFigures::query_seconds},
      {"penstock_checkout_duration_seconds_sum", &PoolFigures::wait_seconds},
      {"penstock_checkouts_total", &PoolFigures::checkouts},
  };
  const auto found = kMembers.find(metric);
  return found == kMembers.end() ? nullptr : found->second;
}

void note_pool(const MetricSample& sample, PoolFigures& pool) {
  if (sample.name == "penstock_clients" || sample.name == "penstock_servers") {
    if (const Member member = member_of_state(sample.name, sample.label("state")))
      pool.*member += sample.value;
  } else if (sample.name == "penstock_query_duration_seconds_bucket") {
    const std::string bound(sample.label("le"));
    pool.buckets[std::strtod(bound.c_str(), nullptr)] += sample.value;  // "+Inf" as well
  } else if (sample.name == "penstock_pool_failing") {
    pool.is_failing = sample.value > 0;
  } else if (const Member member = member_of(sample.name)) {
    pool.*member += sample.value;
  }
}

void note_process(const MetricSample& sample, TopSample& whole) {
  if (sample.name == "penstock_build_info") whole.version = sample.label("version");
  if (sample.name == "penstock_ready") whole.is_ready = sample.value > 0;
  if (sample.name == "penstock_catalog_failing") whole.catalog_fails = sample.value > 0;
  if (sample.name == "penstock_clients_max") whole.clients_max = sample.value;
  if (sample.name == "penstock_tenants") whole.tenants = sample.value;
  if (sample.name == "process_start_time_seconds") whole.started = sample.value;
  if (sample.name == "process_resident_memory_bytes") whole.memory = sample.value;
  if (sample.name == "penstock_worker_cpu_seconds_total") {
    whole.worker_cpu += sample.value;
    ++whole.workers;
  }
}

void add(PoolFigures& sum, const PoolFigures& part) {
  for (const Member member :
       {&PoolFigures::clients_idle, &PoolFigures::clients_active, &PoolFigures::waiting,
        &PoolFigures::servers_idle, &PoolFigures::servers_active, &PoolFigures::servers_cleaning,
        &PoolFigures::servers_connecting, &PoolFigures::size, &PoolFigures::queries, &PoolFigures::errors,
        &PoolFigures::slow, &PoolFigures::query_seconds, &PoolFigures::wait_seconds,
        &PoolFigures::checkouts}) {
    sum.*member += part.*member;
  }
  sum.longest_wait = std::max(sum.longest_wait, part.longest_wait);
  sum.is_failing = sum.is_failing || part.is_failing;
  for (const auto& [bound, count] : part.buckets) sum.buckets[bound] += count;
}

// Within the bucket that holds it, as if all lay evenly in it.
double quantile(const std::map<double, double>& before, const std::map<double, double>& now, double share) {
  const auto since = [&](double bound, double count) {
    const auto old = before.find(bound);
    return std::max(0.0, count - (old == before.end() ? 0 : old->second));
  };
  if (now.empty()) return 0;
  const double wanted = share * since(now.rbegin()->first, now.rbegin()->second);
  if (wanted <= 0) return 0;
  double low = 0, below = 0;
  for (const auto& [bound, count] : now) {
    const double within = since(bound, count);
    if (within >= wanted) {
      if (bound > 1e9) return low;  // the last bucket has no end
      return low + (bound - low) * (wanted - below) / std::max(1e-9, within - below);
    }
    low = bound;
    below = within;
  }
  return low;
}

TopRow row_of(const TopSample::Key& key, const PoolFigures* before, const PoolFigures& now, double seconds) {
  static const PoolFigures kNothing;
  const PoolFigures& old = before == nullptr ? kNothing : *before;
  TopRow row{.tenant = std::get<0>(key), .user = std::get<1>(key), .database = std::get<2>(key), .now = now};
  const auto grown = [&](Member member) { return std::max(0.0, now.*member - old.*member); };
  const double queries = grown(&PoolFigures::queries);
  row.queries_per_second = queries / seconds;
  row.errors_per_second = grown(&PoolFigures::errors) / seconds;
  row.slow_per_second = grown(&PoolFigures::slow) / seconds;
  if (queries > 0) row.mean_ms = 1000 * grown(&PoolFigures::query_seconds) / queries;
  row.p95_ms = 1000 * quantile(old.buckets, now.buckets, 0.95);
  return row;
}

std::map<TopSample::Key, PoolFigures> by_tenant(const TopSample& sample) {
  std::map<TopSample::Key, PoolFigures> tenants;
  for (const auto& [key, pool] : sample.pools) add(tenants[{std::get<0>(key), "", ""}], pool);
  return tenants;
}

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

double number_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

}  // namespace

TopSample sample_of(std::string_view metrics) {
  TopSample whole;
  for_each_sample(metrics, [&](const MetricSample& sample) {
    const std::string_view tenant = sample.label("tenant");
    if (tenant.empty()) return note_process(sample, whole);
    note_pool(sample, whole.pools[{std::string(tenant), std::string(sample.label("user")),
                                   std::string(sample.label("database"))}]);
  });
  return whole;
}

std::vector<SlowLine> slow_lines_of(std::string_view text) {
  std::vector<SlowLine> lines;
  json::error_code error;
  const json::value parsed = json::parse({text.data(), text.size()}, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  const json::value* data = object == nullptr ? nullptr : object->if_contains("data");
  if (data == nullptr || !data->is_array()) return lines;
  for (const json::value& value : data->get_array()) {
    const json::object* query = value.if_object();
    if (query == nullptr) continue;
    lines.push_back({.at = text_of(*query, "at"),
                     .tenant = text_of(*query, "tenant"),
                     .user = text_of(*query, "user"),
                     .database = text_of(*query, "database"),
                     .query = text_of(*query, "query"),
                     .duration_ms = number_of(*query, "duration_ms"),
                     .wait_ms = number_of(*query, "wait_ms")});
  }
  return lines;
}

std::vector<TopRow> rows_of(const TopSample& before, const TopSample& now, TopBy by) {
  const double seconds = std::max(0.001, std::chrono::duration<double>(now.at - before.at).count());
  const auto old = by == TopBy::kPool ? before.pools : by_tenant(before);
  std::vector<TopRow> rows;
  for (const auto& [key, pool] : by == TopBy::kPool ? now.pools : by_tenant(now)) {
    const auto found = old.find(key);
    rows.push_back(row_of(key, found == old.end() ? nullptr : &found->second, pool, seconds));
  }
  return rows;
}

}  // namespace penstock::cli
