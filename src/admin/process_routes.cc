// Health, version, metrics, configuration: what the process says of itself.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "admin/api.h"
#include "admin/audit_note.h"
#include "admin/problem.h"
#include "base/version.h"
#include "config/render.h"
#include "config/table.h"
#include "telemetry/exposition.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;

std::string text_of(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(time));
}

json::object status_of(std::string_view word) {
  return {{"status", word}, {"timestamp", text_of(std::chrono::system_clock::now())}};
}

json::object unhealthy(const std::vector<std::string>& reasons) {
  json::object object = status_of("unhealthy");
  object["failed_checks"] = json::array(reasons.begin(), reasons.end());
  return object;
}

void answer_health(Engine& engine, Call call) {
  engine.settle([call = std::move(call)](bool all_did) mutable {
    if (all_did) return call.respond({.status = 204});
    call.answer(unhealthy({"workers: not all of them answer"}), 503);
  });
}

void answer_ready(Engine& engine, Call call) {
  const std::vector<std::string> reasons = engine.unready();
  const auto& trouble = engine.catalog().trouble();
  if (reasons.empty() && !trouble) return call.respond({.status = 204});
  json::object answer = reasons.empty() ? status_of("ready") : unhealthy(reasons);
  if (trouble) {
    // It may name tenants, users, keys and hosts.
    const bool may_know = call.grant.can_read && call.grant.tenants.empty();
    answer["warnings"] =
        json::array{may_know ? "catalog: " + trouble->message : "catalog: cannot be read; the log says why"};
  }
  call.answer(answer, reasons.empty() ? 200 : 503);
}

void answer_version(Engine& engine, Call call) {
  const ProcessStart process = engine.started();
  const auto now = std::chrono::system_clock::now();
  call.answer(
      {{"name", "penstock"},
       {"version", base::kVersion},
       {"started_at", text_of(process.time)},
       {"uptime_seconds", std::chrono::duration_cast<std::chrono::seconds>(now - process.time).count()},
       {"workers", process.workers}});
}

void answer_configuration(Engine& engine, Call call) {
  const config::Loaded& loaded = engine.configuration();
  json::object all;
  for (const auto& entry : config::settings_table()) {
    const auto origin = loaded.origins.find(entry.name());
    all[entry.name()] = {{"value", config::shown_value(entry, loaded.settings)},
                         {"origin", origin == loaded.origins.end() ? "default" : origin->second},
                         {"reloadable", entry.reloadable},
                         {"meaning", entry.doc}};
  }
  call.answer({{"data", std::move(all)}});
}

Routes health_routes(Engine& engine) {
  return {
      {.method = "GET",
       .path = "/api/health",
       .name = "getHealth",
       .tag = "process",
       .summary = "Whether the process lives",
       .scope = Scope::kNone,
       .answers = {{204, "It does, and all its workers."},
                   {503, "It does not, for these reasons.", "Unready"}},
       .act = [&engine](Call call) { answer_health(engine, std::move(call)); }},
      {.method = "GET",
       .path = "/api/ready",
       .name = "getReady",
       .tag = "process",
       .summary = "Whether it takes clients, and if not, why",
       .scope = Scope::kNone,
       .answers = {{204, "It does."},
                   {200, "It does, but something is wrong.", "Ready"},
                   {503, "It does not, for these reasons.", "Unready"}},
       .act = [&engine](Call call) { answer_ready(engine, std::move(call)); }},
      {.method = "GET",
       .path = "/api/version",
       .name = "getVersion",
       .tag = "process",
       .summary = "What runs, and since when",
       .scope = Scope::kNone,
       .answers = {{200, "This.", "Version"}},
       .act = [&engine](Call call) { answer_version(engine, std::move(call)); }},
      {.method = "GET",
       .path = "/api/openapi",
       .name = "getOpenapi",
       .tag = "process",
       .summary = "This document",
       .scope = Scope::kNone,
       .answers = {{200, "An OpenAPI 3.0 document."}}},
  };
}

Routes metrics_routes(Engine& engine) {
  const std::vector<RouteAnswer> answers = {
      {200, "Prometheus' text format, or OpenMetrics for a client that accepts it.", "text", "text/plain"}};
  return {
      {.method = "GET",
       .path = "/metrics",
       .name = "getMetrics",
       .tag = "metrics",
       .summary = "All metrics",
       .scope = Scope::kMetrics,
       .answers = answers,
       .act =
           [&engine](Call call) {
             write_metrics(engine, "", call.request.header("accept"), std::move(call.respond));
           }},
      {.method = "GET",
       .path = "/metrics/{external_id}",
       .name = "getTenantMetrics",
       .tag = "metrics",
       .summary = "The metrics of one tenant",
       .scope = Scope::kMetrics,
       .answers = answers,
       .act =
           [&engine](Call call) {
             write_metrics(engine, call.tenant(), call.request.header("accept"), std::move(call.respond));
           }},
  };
}

}  // namespace

Routes process_routes(Engine& engine) {
  Routes routes = health_routes(engine);
  for (Route& route : metrics_routes(engine)) routes.push_back(std::move(route));
  routes.push_back({.method = "GET",
                    .path = "/api/config",
                    .name = "getConfig",
                    .tag = "process",
                    .summary = "The settings in effect, and where each comes from",
                    .answers = {{200, "By full name.", "Configuration"}},
                    .act = [&engine](Call call) { answer_configuration(engine, std::move(call)); }});
  routes.push_back(
      {.method = "POST",
       .path = "/api/reload",
       .name = "reload",
       .tag = "process",
       .summary = "Reads configuration, certificates and catalog again, as SIGHUP",
       .scope = Scope::kWrite,
       .answers = {{204, "Done."},
                   {409, "There is a mistake; nothing was changed.", "Problem", "application/problem+json"}},
       .act = [&engine](Call call) {
         const base::Status done = engine.reload();
         if (done) note_order(engine, actor_of(call), {.action = "reload"});
         call.respond(done ? http::Response{.status = 204} : problem(409, done.error().message));
       }});
  routes.push_back({.method = "POST",
                    .path = "/api/drain",
                    .name = "drain",
                    .tag = "process",
                    .summary = "Lets clients finish their transactions and ends the process, as SIGTERM",
                    .scope = Scope::kWrite,
                    .answers = {{202, "It has begun."}},
                    .act = [&engine](Call call) {
                      // First, or the process may be over before the answer has gone.
                      note_order(engine, actor_of(call), {.action = "drain"});
                      call.respond({.status = 202});
                      engine.drain();
                    }});
  return routes;
}

}  // namespace penstock::admin
