// Tenants as resources, in Supavisor's form, and a list of them.
#include <algorithm>

#include "admin/api.h"
#include "admin/audit_note.h"
#include "admin/problem.h"
#include "admin/tenant_change.h"
#include "admin/tenant_json.h"
#include "admin/trial.h"
#include "catalog/ban.h"
#include "catalog/record.h"
#include "catalog/rotation.h"
#include "catalog/timestamp.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;
using model::TenantSpec;

constexpr std::size_t kPageMax = 1000;
constexpr std::size_t kPage = 100;
constexpr std::size_t kAuditPageBytesMax = 1024 * 1024;

const QueryParameter kDryRun = {"dry_run", "boolean", "Only says what would come of it."};

bool is_paused(Engine& engine, const TenantSpec& tenant) {
  return engine.paused().tenants.contains(tenant.id);
}

// Of what described() says.
http::Headers tag_of(Engine& engine, const TenantSpec& tenant, const model::TenantRevision& revision) {
  return etag_of(revision, is_paused(engine, tenant) ? "paused" : "");
}

// With what is not part of the tenant itself; times as Supavisor calls them.
json::object described(Engine& engine, const TenantSpec& tenant, const model::TenantRevision& revision) {
  json::object object = to_json(tenant);
  object["paused"] = is_paused(engine, tenant);
  if (revision.number == 0) return object;
  object["inserted_at"] = catalog::to_text(revision.created_at);
  object["updated_at"] = catalog::to_text(revision.changed_at);
  object["revision"] = revision.number;
  return object;
}

void answer_tenant(Engine& engine, Call& call, const TenantSpec& tenant,
                   const model::TenantRevision& revision, int status = 200, http::Headers more = {}) {
  http::Headers headers = tag_of(engine, tenant, revision);
  std::ranges::move(more, std::back_inserter(headers));
  call.answer({{"data", described(engine, tenant, revision)}}, status, std::move(headers));
}

void list_tenants(Engine& engine, Call call) {
  const std::string after = call.text("after"), search = call.text("search");
  const std::size_t limit = std::clamp<std::size_t>(call.number("limit", kPage), 1, kPageMax);
  const model::SnapshotPtr snapshot = engine.catalog().snapshot();
  const std::vector<model::TenantPtr>& all = snapshot->tenants();
  const auto begin =
      std::ranges::upper_bound(all, after, {}, [](const model::TenantPtr& each) { return each->id; });
  json::array data;
  json::value next;
  for (const model::TenantPtr& tenant : std::ranges::subrange(begin, all.end())) {
    if (!call.grant.allows_tenant(tenant->id)) continue;
    if (tenant->id.find(search) == std::string::npos) continue;
    if (data.size() == limit) {
      next = data.back().at("external_id");
      break;
    }
    data.push_back(described(engine, *tenant, snapshot->revision_of(tenant->id)));
  }
  call.answer({{"data", std::move(data)}, {"next", std::move(next)}});
}

void get_tenant(Engine& engine, Call call) {
  const model::TenantPtr tenant = engine.catalog().snapshot()->by_id(call.tenant());
  if (tenant == nullptr) return call.respond(not_found("tenant \"" + call.tenant() + "\""));
  const model::TenantRevision revision = engine.catalog().snapshot()->revision_of(call.tenant());
  const http::Headers tag = tag_of(engine, *tenant, revision);
  if (has_it_already(call, tag)) return call.respond({.status = 304, .headers = tag});
  answer_tenant(engine, call, *tenant, revision);
}

std::optional<http::Response> apply_wish(const json::object& wish, TenantSpec& tenant) {
  FieldErrors errors;
  const TenantSpec before = tenant;
  if (wish.contains("banned")) catalog::forget_ban(tenant);
  apply(wish, tenant, "tenant", errors);
  if (auto settled = catalog::settle_ban(before, tenant, catalog::wall_clock_now()); !settled) {
    errors["tenant.banned_until"].push_back(without_name(settled.error().message));
  }
  if (errors.empty()) return std::nullopt;
  return problem(errors);
}

TenantEdit put_edit(const Call& call) {
  return [&call, &wish = call.body.at("tenant").as_object()](std::optional<TenantSpec>& tenant) {
    if (!tenant) tenant = TenantSpec{.id = call.tenant()};
    return apply_wish(wish, *tenant);
  };
}

void store_tenant(Engine& engine, Call call) {
  const auto changed = change_tenant(engine.catalog(), call, put_edit(call));
  if (!changed) return call.respond(changed.error());
  const bool is_new = !changed->before;
  answer_tenant(engine, call, *changed->after, changed->revision, is_new ? 201 : 200,
                is_new ? http::Headers{{"Location", "/api/tenants/" + http::percent_encode(call.tenant())}}
                       : http::Headers{});
}

void put_tenant(Engine& engine, Call call) {
  const json::value* named = call.body.at("tenant").as_object().if_contains("external_id");
  if (named != nullptr && named->get_string() != std::string_view(call.tenant())) {
    return call.respond(problem(FieldErrors{{"tenant.external_id", {"must be the one in the path"}}}));
  }
  if (!call.flag("check")) return store_tenant(engine, std::move(call));
  const auto wished = try_change(engine.catalog(), call, put_edit(call));
  if (!wished) return call.respond(wished.error());
  try_first(engine, {std::make_shared<const TenantSpec>(*wished->after)}, std::move(call),
            [&engine](Call tried) { store_tenant(engine, std::move(tried)); });
}

// {"tenant": {…}} changes what it mentions. Supavisor's {"banned": …} stands beside it.
void patch_tenant(Engine& engine, Call call) {
  json::object wish;
  const json::object& body = call.body.as_object();
  if (const json::value* tenant = body.if_contains("tenant")) wish = tenant->as_object();
  for (const char* name : {"banned", "ban_reason", "banned_until"}) {
    if (const json::value* value = body.if_contains(name)) wish[name] = *value;
  }
  const auto changed = change_tenant(engine.catalog(), call,
                                     [&](std::optional<TenantSpec>& tenant) -> std::optional<http::Response> {
                                       if (!tenant) return not_found("tenant \"" + call.tenant() + "\"");
                                       return apply_wish(wish, *tenant);
                                     });
  if (!changed) return call.respond(changed.error());
  answer_tenant(engine, call, *changed->after, changed->revision);
}

void delete_tenant(Engine& engine, Call call) {
  const auto changed = change_tenant(engine.catalog(), call,
                                     [&](std::optional<TenantSpec>& tenant) -> std::optional<http::Response> {
                                       if (!tenant) return not_found("tenant \"" + call.tenant() + "\"");
                                       tenant.reset();
                                       return std::nullopt;
                                     });
  call.respond(changed ? http::Response{.status = 204} : changed.error());
}

// New credentials of the user who runs auth_query.
void put_credentials(Engine& engine, Call call) {
  const std::string user_name(call.body.at("db_user").get_string());
  const std::string password(call.body.at("db_password").get_string());
  const auto changed = change_tenant(
      engine.catalog(), call, [&](std::optional<TenantSpec>& tenant) -> std::optional<http::Response> {
        if (!tenant) return not_found("tenant \"" + call.tenant() + "\"");
        if (tenant->auth_query.empty() || tenant->require_user)
          return problem(400, "the tenant asks no auth_query, so there is nobody to run it");
        const auto user = std::ranges::find(tenant->users, tenant->auth_user, &model::UserSpec::name);
        if (user == tenant->users.end()) return problem(400, "the tenant has no user who runs auth_query");
        // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): it is changed
        const model::UserSpec before = *user;
        user->upstream_user = user_name == user->name ? "" : user_name;
        user->secret = password;
        user->upstream_secret.reset();
        (void)catalog::settle_previous(before, *user, std::nullopt, {});  // nothing is kept
        return std::nullopt;
      });
  call.respond(changed ? http::Response{.status = 204} : changed.error());
}

void terminate(Engine& engine, Call call) {
  std::string tenant = call.tenant();
  if (engine.catalog().snapshot()->by_id(tenant) == nullptr) {
    return call.respond(not_found("tenant \"" + tenant + "\""));
  }
  const catalog::Actor actor = actor_of(call);
  engine.terminate(tenant, [tenant, call = std::move(call)](std::size_t clients) mutable {
    call.answer({{"result", "terminated " + tenant + ": " + std::to_string(clients) + " clients"}});
  });
  note_order(engine, actor, {.action = "terminate", .tenant = std::move(tenant)});
}

RouteAnswer answer(int status, std::string_view meaning) {
  return {status, meaning, "Problem", "application/problem+json"};
}

void answer_audit(Engine& engine, Call call) {
  const auto named = call.path.find("external_id");
  catalog::AuditQuery query{.tenant = named == call.path.end() ? call.text("tenant") : named->second,
                            .limit = std::clamp<std::size_t>(call.number("limit", kPage), 1, kPageMax),
                            .bytes_max = kAuditPageBytesMax};
  if (call.uri.parameter("before") != nullptr) query.before = call.number("before", 0);
  const auto entries = engine.catalog().audit(query);
  if (!entries) return call.respond(problem(entries.error()));
  json::value next;
  if (!entries->empty()) {
    const auto older =
        engine.catalog().audit({.tenant = query.tenant, .before = entries->back().number, .limit = 1});
    if (!older) return call.respond(problem(older.error()));
    if (!older->empty()) next = entries->back().number;
  }
  call.answer({{"data", catalog::array_of(*entries)}, {"next", std::move(next)}});
}

Route audit_route(Engine& engine, bool of_tenant) {
  Route route{.method = "GET",
              .path = of_tenant ? "/api/tenants/{external_id}/audit" : "/api/audit",
              .name = of_tenant ? "getTenantAudit" : "getAudit",
              .tag = of_tenant ? "tenants" : "process",
              .summary = "Who has changed or ordered what, newest first; values are not in it",
              .query = {{"before", "integer", "Only entries older than this number.", INT64_MAX},
                        {"limit", "integer", "Entries per page; 100 when not given.", kPageMax}},
              .answers = {{200, "A page.", "AuditList"}},
              .act = [&engine](Call call) { answer_audit(engine, std::move(call)); }};
  if (!of_tenant) route.query.push_back({"tenant", "string", "Only those of this tenant."});
  return route;
}

Routes resource_routes(Engine& engine) {
  const RouteAnswer missing = answer(404, "There is no such tenant."),
                    stale = answer(412, "The tenant has changed since; see ETag and If-Match."),
                    taken = answer(409, "Another tenant stands in the way.");
  return {
      {.method = "GET",
       .path = "/api/tenants",
       .name = "listTenants",
       .tag = "tenants",
       .summary = "Tenants in the order of their ids, page by page",
       .filters = true,
       .query = {{"after", "string", "Only ids behind this one."},
                 {"limit", "integer", "Tenants per page; 100 when not given.", kPageMax},
                 {"search", "string", "Only ids that contain this."}},
       .answers = {{200, "A page.", "TenantList"}},
       .act = [&engine](Call call) { list_tenants(engine, std::move(call)); }},
      {.method = "GET",
       .path = "/api/tenants/{external_id}",
       .name = "getTenant",
       .tag = "tenants",
       .summary = "One tenant with its users",
       .answers = {{200, "The tenant, with its ETag.", "TenantAnswer"},
                   {304, "It is as If-None-Match says."},
                   missing},
       .act = [&engine](Call call) { get_tenant(engine, std::move(call)); }},
      {.method = "PUT",
       .path = "/api/tenants/{external_id}",
       .name = "putTenant",
       .tag = "tenants",
       .summary = "Creates a tenant, or changes what the body mentions",
       .scope = Scope::kWrite,
       .query = {kDryRun,
                 {"check", "boolean",
                  "First logs in to the servers as each user; 400 if that fails, and nothing is changed."}},
       .body = "PutTenant",
       .answers = {{201, "It has been created.", "TenantAnswer"},
                   {200, "It has been changed.", "TenantAnswer"},
                   stale,
                   taken},
       .act = [&engine](Call call) { put_tenant(engine, std::move(call)); }},
      {.method = "PATCH",
       .path = "/api/tenants/{external_id}",
       .name = "patchTenant",
       .tag = "tenants",
       .summary = "Changes what the body mentions; bans and unbans",
       .scope = Scope::kWrite,
       .query = {kDryRun},
       .body = "PatchTenant",
       .answers = {{200, "It has been changed.", "TenantAnswer"}, missing, stale, taken},
       .act = [&engine](Call call) { patch_tenant(engine, std::move(call)); }},
      {.method = "DELETE",
       .path = "/api/tenants/{external_id}",
       .name = "deleteTenant",
       .tag = "tenants",
       .summary = "Removes a tenant and ends its clients",
       .scope = Scope::kWrite,
       .query = {kDryRun},
       .answers = {{204, "It is gone."}, missing, stale},
       .act = [&engine](Call call) { delete_tenant(engine, std::move(call)); }},
  };
}

}  // namespace

Routes tenant_routes(Engine& engine) {
  Routes routes = resource_routes(engine);
  for (const bool of_tenant : {true, false}) routes.push_back(audit_route(engine, of_tenant));
  routes.push_back({.method = "POST",
                    .path = "/api/tenants/{external_id}/update_auth_credentials",
                    .name = "updateAuthCredentials",
                    .tag = "tenants",
                    .summary = "New credentials of the user who runs auth_query",
                    .scope = Scope::kWrite,
                    .query = {kDryRun},
                    .body = "Credentials",
                    .answers = {{204, "Done."},
                                answer(404, "There is no such tenant."),
                                answer(409, "The tenant would not be valid."),
                                answer(412, "The tenant has changed since.")},
                    .act = [&engine](Call call) { put_credentials(engine, std::move(call)); }});
  // Supavisor's tools use GET for this; a proxy that fetches ahead must not, so there is POST as well.
  for (const bool by_get : {true, false}) {
    routes.push_back({.method = by_get ? "GET" : "POST",
                      .path = "/api/tenants/{external_id}/terminate",
                      .name = by_get ? "terminateTenantByGet" : "terminateTenant",
                      .tag = "tenants",
                      .summary = "Ends the tenant's clients and server connections",
                      .scope = Scope::kWrite,
                      .answers = {{200, "Done.", "Result"}, answer(404, "There is no such tenant.")},
                      .act = [&engine](Call call) { terminate(engine, std::move(call)); }});
  }
  return routes;
}

}  // namespace penstock::admin
