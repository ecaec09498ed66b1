// Orders to the pools of a tenant, or to one of them: pause, resume, reconnect, drain.
#include <algorithm>
#include <optional>

#include "admin/api.h"
#include "admin/audit_note.h"
#include "admin/problem.h"
#include "model/guarantee.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;

// An answer may take at most a minute.
constexpr std::size_t kPatienceMsMax = 50'000;
constexpr std::size_t kPatienceMs = 10'000;
// Single pools of a tenant that are paused; names come from outside, and each is remembered and told to all workers.
constexpr std::ptrdiff_t kPausedPoolsMax = 100;

enum class Order : std::uint8_t { kPause, kResume, kReconnect, kDrain };

// The one that the path names.
PoolScope scope_of(const model::TenantSpec& tenant, const Call& call) {
  PoolScope scope{.tenant = tenant.id};
  const auto user = call.path.find("user"), database = call.path.find("database");
  if (user == call.path.end()) return scope;
  // Users who are the same role at the server share its pools.
  const model::UserSpec* listed = model::CatalogSnapshot::find_user(tenant, user->second);
  scope.user = listed != nullptr ? model::role_of(*listed) : user->second;
  scope.database = database->second;
  return scope;
}

// Whether the tenant can have such a pool: one need not be there to be paused.
bool may_be_there(const model::TenantSpec& tenant, const PoolScope& pool) {
  const bool asks_for_users = !tenant.auth_query.empty() && !tenant.require_user;
  const auto is_role = [&](const model::UserSpec& user) { return model::role_of(user) == pool.user; };
  const bool has_user = asks_for_users || std::ranges::any_of(tenant.users, is_role);
  const bool has_database = tenant.upstream_database.empty() || pool.database == tenant.upstream_database ||
                            pool.database == tenant.auth_database;
  return has_user && has_database;
}

std::optional<http::Response> refuse_pause(Engine& engine, const PoolScope& scope) {
  const std::set<pool::PoolName>& paused = engine.paused().pools;
  if (scope.is_tenant() || paused.contains(scope.pool())) return std::nullopt;
  const auto begin = paused.lower_bound({.tenant = scope.tenant, .database = {}, .user = {}});
  const auto end =
      std::find_if(begin, paused.end(), [&](const auto& name) { return name.tenant != scope.tenant; });
  if (std::distance(begin, end) < kPausedPoolsMax) return std::nullopt;
  return problem(409, "too many single pools of the tenant are paused", "Pause the tenant instead.");
}

void answer_state(Call& call, PoolState state, std::size_t servers) {
  call.answer({{"data", {{"state", word_of(state)}, {"servers", servers}}}},
              state == PoolState::kPausing ? 202 : 200);
}

std::optional<http::Response> refusal_of(Engine& engine, Order order, const PoolScope& scope) {
  if (order == Order::kPause) return refuse_pause(engine, scope);
  if (order == Order::kResume && !scope.is_tenant() && engine.paused().tenants.contains(scope.tenant)) {
    return problem(409, "the whole tenant is paused", "POST /api/tenants/{external_id}/resume ends that.");
  }
  return std::nullopt;
}

AuditNote note_of(Order order, const PoolScope& scope) {
  constexpr std::string_view kActions[] = {"pause", "resume", "reconnect", "drain"};
  AuditNote note{.action = kActions[static_cast<std::size_t>(order)], .tenant = scope.tenant};
  if (!scope.is_tenant()) note.subjects.push_back("pools." + scope.user + '.' + scope.database);
  return note;
}

void give(Engine& engine, Order order, PoolScope scope, Call call) {
  switch (order) {
    case Order::kPause: {
      const std::chrono::milliseconds patience(call.number("timeout_ms", kPatienceMs));
      return engine.pause(std::move(scope), patience, [call = std::move(call)](std::size_t servers) mutable {
        answer_state(call, servers == 0 ? PoolState::kPaused : PoolState::kPausing, servers);
      });
    }
    case Order::kResume:
      engine.resume(scope);
      return answer_state(call, PoolState::kActive, 0);
    case Order::kReconnect:
      return engine.reconnect(std::move(scope),
                              [call = std::move(call)]() mutable { call.respond({.status = 202}); });
    case Order::kDrain:
      return engine.drain(std::move(scope), [call = std::move(call)](std::size_t clients) mutable {
        call.answer({{"data", json::object{{"clients", clients}}}}, 202);
      });
  }
}

void obey(Engine& engine, Order order, PoolScope scope, Call call) {
  if (auto refusal = refusal_of(engine, order, scope)) return call.respond(std::move(*refusal));
  const catalog::Actor actor = actor_of(call);
  AuditNote note = note_of(order, scope);
  give(engine, order, std::move(scope), std::move(call));
  note_order(engine, actor, std::move(note));
}

// The pool that runs under a name: its role's, or the one that lists show, of a user who may be gone from the catalog.
const PoolView* find_pool(const std::vector<PoolView>& pools, const PoolScope& scope) {
  for (const auto name : {&PoolView::role, &PoolView::user}) {
    const auto found = std::ranges::find_if(pools, [&](const PoolView& pool) {
      return pool.database == scope.database && pool.*name == scope.user;
    });
    if (found != pools.end()) return &*found;
  }
  return nullptr;
}

// An order that could reach nothing is refused, not answered with success.
void carry_out(Engine& engine, Order order, Call call) {
  const model::TenantPtr tenant = engine.catalog().snapshot()->by_id(call.tenant());
  if (tenant == nullptr) return call.respond(not_found("tenant \"" + call.tenant() + "\""));
  PoolScope scope = scope_of(*tenant, call);
  const bool may_be = scope.is_tenant() || may_be_there(*tenant, scope);
  const bool is_listed = !scope.is_tenant() && model::CatalogSnapshot::find_user(
                                                   *tenant, call.path.find("user")->second) != nullptr;
  if (may_be && (scope.is_tenant() || is_listed))
    return obey(engine, order, std::move(scope), std::move(call));
  engine.look({.pools = true, .tenant = scope.tenant},
              [&engine, order, may_be, scope, call = std::move(call)](const Findings& findings) mutable {
                if (const PoolView* pool = find_pool(findings.pools, scope)) {
                  scope.user = pool->role;
                } else if (!may_be && !engine.paused().pools.contains(scope.pool())) {
                  return call.respond(not_found("a pool of user \"" + scope.user + "\" and database \"" +
                                                scope.database + "\" of tenant \"" + scope.tenant + "\""));
                }
                obey(engine, order, std::move(scope), std::move(call));
              });
}

struct OrderRoute {
  Order order;
  std::string_view tenant_path, pool_path, tenant_name, pool_name, tenant_summary, pool_summary;
  std::vector<RouteAnswer> answers;
};

const std::vector<OrderRoute>& order_routes() {
  static const std::vector<OrderRoute> kRoutes = {
      {Order::kPause,
       "/api/tenants/{external_id}/pause",
       "/api/tenants/{external_id}/pools/{user}/{database}/pause",
       "pauseTenant",
       "pausePool",
       "Lets transactions end, closes the tenant's server connections, and makes its clients wait",
       "Lets transactions end, closes the pool's server connections, and makes its clients wait",
       {{200, "Paused: no server connection is left.", "PauseAnswer"},
        {202, "Clients wait, but some servers are busy still; they close when they are free.",
         "PauseAnswer"}}},
      {Order::kResume,
       "/api/tenants/{external_id}/resume",
       "/api/tenants/{external_id}/pools/{user}/{database}/resume",
       "resumeTenant",
       "resumePool",
       "Ends the tenant's pause, and those of its pools",
       "Ends the pool's pause",
       {{200, "Clients go on.", "PauseAnswer"}}},
      {Order::kReconnect,
       "/api/tenants/{external_id}/reconnect",
       "/api/tenants/{external_id}/pools/{user}/{database}/reconnect",
       "reconnectTenant",
       "reconnectPool",
       "Replaces the tenant's server connections as they become free; clients stay",
       "Replaces the pool's server connections as they become free; clients stay",
       {{202, "It has begun."}}},
      {Order::kDrain,
       "/api/tenants/{external_id}/drain",
       "/api/tenants/{external_id}/pools/{user}/{database}/drain",
       "drainTenant",
       "drainPool",
       "Ends the tenant's clients when they are between transactions, and closes their server connections",
       "Ends the pool's clients when they are between transactions, and closes their server connections",
       {{202, "It has begun: so many clients are concerned.", "DrainAnswer"}}},
  };
  return kRoutes;
}

}  // namespace

std::string_view word_of(PoolState state) {
  switch (state) {
    case PoolState::kActive:
      return "active";
    case PoolState::kPausing:
      return "pausing";
    case PoolState::kPaused:
      return "paused";
  }
  return "?";
}

Routes pool_routes(Engine& engine) {
  Routes routes;
  for (const OrderRoute& entry : order_routes()) {
    for (const bool of_pool : {false, true}) {
      Route route{
          .method = "POST",
          .path = of_pool ? entry.pool_path : entry.tenant_path,
          .name = of_pool ? entry.pool_name : entry.tenant_name,
          .tag = of_pool ? "live" : "tenants",
          .summary = of_pool ? entry.pool_summary : entry.tenant_summary,
          .scope = Scope::kWrite,
          .answers = entry.answers,
          .act = [&engine, order = entry.order](Call call) { carry_out(engine, order, std::move(call)); }};
      route.answers.push_back(
          {404,
           of_pool ? "There is no such tenant, or it cannot have such a pool." : "There is no such tenant.",
           "Problem", "application/problem+json"});
      if (entry.order == Order::kPause) {
        route.query.push_back({"timeout_ms", "integer",
                               "How long to wait for transactions to end; 10000 when not given.",
                               kPatienceMsMax});
      }
      const bool may_conflict = of_pool && (entry.order == Order::kPause || entry.order == Order::kResume);
      if (may_conflict) {
        route.answers.push_back(
            {409, "It cannot be done as things are.", "Problem", "application/problem+json"});
      }
      routes.push_back(std::move(route));
    }
  }
  return routes;
}

}  // namespace penstock::admin
