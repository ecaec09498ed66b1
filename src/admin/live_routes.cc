// Pools, clients and servers as they are at the moment.
#include <charconv>

#include "admin/api.h"
#include "admin/audit_note.h"
#include "admin/problem.h"
#include "catalog/timestamp.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;

constexpr std::size_t kListMax = 10'000;
constexpr std::size_t kList = 1000;

json::value or_null(const std::string& text) {
  return text.empty() ? json::value() : json::value(text);
}

json::object to_json(const PoolView& pool) {
  return {{"tenant", pool.tenant},
          {"user", pool.user},
          {"database", pool.database},
          {"pool_mode", pool.mode},
          {"state", word_of(pool.state)},
          {"size", pool.size},
          {"clients_waiting", pool.waiting},
          {"longest_wait_ms", pool.longest_wait.count()},
          {"servers",
           {{"idle", pool.idle},
            {"active", pool.active},
            {"cleaning", pool.cleaning},
            {"connecting", pool.connecting}}},
          {"last_error", or_null(pool.last_error)}};
}

json::object to_json(const ClientView& client) {
  return {{"id", std::to_string(client.id)},
          {"tenant", client.tenant},
          {"user", client.user},
          {"database", client.database},
          {"application_name", client.application_name},
          {"address", client.address},
          {"state", client.state},
          {"tls", client.tls},
          {"worker", client.worker}};
}

json::object to_json(const ServerView& server) {
  return {{"id", std::to_string(server.id)}, {"tenant", server.tenant}, {"user", server.user},
          {"database", server.database},     {"host", server.host},     {"state", server.state},
          {"process_id", server.process_id}, {"tls", server.tls},       {"worker", server.worker}};
}

enum class What : std::uint8_t { kPools, kClients, kServers };

template <class View>
json::array list_of(const std::vector<View>& views) {
  json::array list;
  list.reserve(views.size());
  for (const View& view : views) list.push_back(to_json(view));
  return list;
}

void look(Engine& engine, What what, Call call) {
  const auto tenant = call.path.find("external_id");
  const std::string name = tenant == call.path.end() ? call.text("tenant") : tenant->second;
  if (tenant != call.path.end() && engine.catalog().snapshot()->by_id(name) == nullptr) {
    return call.respond(not_found("tenant \"" + name + "\""));
  }
  LookWish wish{.pools = what == What::kPools,
                .clients = what == What::kClients,
                .servers = what == What::kServers,
                .tenant = name,
                .tenants = call.grant.tenants,
                .limit = call.number("limit", kList)};
  engine.look(std::move(wish), [what, call = std::move(call)](const Findings& found) mutable {
    call.answer({{"data", what == What::kPools     ? list_of(found.pools)
                          : what == What::kClients ? list_of(found.clients)
                                                   : list_of(found.servers)}});
  });
}

void kill_client(Engine& engine, Call call) {
  const std::string& text = call.path.find("client")->second;
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return call.respond(not_found("client \"" + text + "\""));
  }
  std::vector<std::string> tenants = call.grant.tenants;
  engine.kill_client(id, std::move(tenants), [&engine, call = std::move(call)](std::string tenant) mutable {
    const std::string& client = call.path.find("client")->second;
    if (tenant.empty()) return call.respond(not_found("client \"" + client + "\""));
    note_order(engine, actor_of(call),
               {.action = "kill-client", .tenant = std::move(tenant), .subjects = {"clients." + client}});
    call.respond({.status = 204});
  });
}

Route list_route(Engine& engine, What what, bool of_tenant) {
  static constexpr std::string_view kPaths[2][3] = {
      {"/api/pools", "/api/clients", "/api/servers"},
      {"/api/tenants/{external_id}/pools", "/api/tenants/{external_id}/clients",
       "/api/tenants/{external_id}/servers"}};
  static constexpr std::string_view kNames[2][3] = {
      {"listPools", "listClients", "listServers"},
      {"listTenantPools", "listTenantClients", "listTenantServers"}};
  static constexpr std::string_view kSummaries[] = {"Pools that are in use, and who waits in them",
                                                    "Clients that are logged in", "Connections to servers"};
  static constexpr std::string_view kSchemas[] = {"PoolList", "ClientList", "ServerList"};
  const auto index = static_cast<std::size_t>(what);
  Route route{.method = "GET",
              .path = kPaths[of_tenant ? 1 : 0][index],
              .name = kNames[of_tenant ? 1 : 0][index],
              .tag = "live",
              .summary = kSummaries[index],
              .filters = !of_tenant,
              .answers = {{200, "Those there are now.", kSchemas[index]}},
              .act = [&engine, what](Call call) { look(engine, what, std::move(call)); }};
  if (of_tenant) {
    route.answers.push_back({404, "There is no such tenant.", "Problem", "application/problem+json"});
  } else {
    route.query.push_back({"tenant", "string", "Only those of this tenant."});
  }
  if (what != What::kPools) {
    route.query.push_back(
        {"limit", "integer", "At most so many of each worker; 1000 when not given.", kListMax});
  }
  return route;
}

json::object to_json(const session::SlowQuery& query) {
  const auto milliseconds = [](std::chrono::microseconds time) {
    return static_cast<double>(time.count()) / 1000;
  };
  return {{"at", catalog::to_text(query.at)},
          {"client", std::to_string(query.client)},
          {"tenant", query.tenant},
          {"user", query.user},
          {"database", query.database},
          {"application_name", query.application_name},
          {"duration_ms", milliseconds(query.duration)},
          {"wait_ms", milliseconds(query.wait)},
          {"rows", query.rows},
          {"bytes", query.bytes},
          {"statements", query.statements},
          {"fingerprint", or_null(query.fingerprint)},
          {"query", or_null(query.text)}};
}

void list_slow_queries(Engine& engine, Call call) {
  const std::string tenant = call.text("tenant");
  json::array data;
  for (const session::SlowQuery& query : engine.slow_queries()) {
    if (!call.grant.allows_tenant(query.tenant) || (!tenant.empty() && query.tenant != tenant)) continue;
    data.push_back(to_json(query));
  }
  call.answer({{"data", std::move(data)}});
}

}  // namespace

Routes live_routes(Engine& engine) {
  Routes routes{
      {.method = "GET",
       .path = "/api/slow-queries",
       .name = "listSlowQueries",
       .tag = "live",
       .summary = "The last queries that ran longer than `slow_query`, newest first; without values",
       .filters = true,
       .query = {{"tenant", "string", "Only those of this tenant."}},
       .answers = {{200, "Those there are.", "SlowQueryList"}},
       .act = [&engine](Call call) { list_slow_queries(engine, std::move(call)); }}};
  for (const bool of_tenant : {false, true}) {
    for (const What what : {What::kPools, What::kClients, What::kServers}) {
      routes.push_back(list_route(engine, what, of_tenant));
    }
  }
  routes.push_back({.method = "DELETE",
                    .path = "/api/clients/{client}",
                    .name = "killClient",
                    .tag = "live",
                    .summary = "Ends one client, whatever it does",
                    .scope = Scope::kWrite,
                    .filters = true,
                    .answers = {{204, "It is gone."},
                                {404, "There is no such client.", "Problem", "application/problem+json"}},
                    .act = [&engine](Call call) { kill_client(engine, std::move(call)); }});
  return routes;
}

}  // namespace penstock::admin
