// Users of a tenant as resources.
#include <algorithm>

#include "admin/api.h"
#include "admin/problem.h"
#include "admin/tenant_change.h"
#include "admin/tenant_json.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;
using model::TenantSpec;
using model::UserSpec;

http::Response no_tenant(const Call& call) {
  return not_found("tenant \"" + call.tenant() + "\"");
}
const std::string& user_of(const Call& call) {
  return call.path.find("user")->second;
}
http::Response no_user(const Call& call) {
  return not_found("user \"" + user_of(call) + "\" of tenant \"" + call.tenant() + "\"");
}

void list_users(Engine& engine, Call call) {
  const model::TenantPtr tenant = engine.catalog().snapshot()->by_id(call.tenant());
  if (tenant == nullptr) return call.respond(no_tenant(call));
  json::array data;
  for (const UserSpec& user : tenant->users) data.push_back(to_json(*tenant, user));
  call.answer({{"data", std::move(data)}});
}

void get_user(Engine& engine, Call call) {
  const model::TenantPtr tenant = engine.catalog().snapshot()->by_id(call.tenant());
  if (tenant == nullptr) return call.respond(no_tenant(call));
  const UserSpec* user = model::CatalogSnapshot::find_user(*tenant, user_of(call));
  if (user == nullptr) return call.respond(no_user(call));
  http::Headers tag = etag_of(engine.catalog().snapshot()->revision_of(call.tenant()));
  if (has_it_already(call, tag)) return call.respond({.status = 304, .headers = std::move(tag)});
  call.answer({{"data", to_json(*tenant, *user)}}, 200, std::move(tag));
}

void put_user(Engine& engine, Call call) {
  const json::object& wish = call.body.at("user").as_object();
  bool is_new = false;
  const auto changed = change_tenant(
      engine.catalog(), call, [&](std::optional<TenantSpec>& tenant) -> std::optional<http::Response> {
        if (!tenant) return no_tenant(call);
        auto user = std::ranges::find(tenant->users, user_of(call), &UserSpec::name);
        is_new = user == tenant->users.end();
        if (auto refusal = refuse_presence(call, "user", !is_new)) return refusal;
        if (is_new) {
          tenant->users.push_back({.name = user_of(call)});
          user = tenant->users.end() - 1;
        }
        FieldErrors errors;
        apply(wish, *user, "user", errors);
        const json::value* is_manager = wish.if_contains("is_manager");
        if (is_manager != nullptr && *is_manager == json::value(true)) tenant->auth_user = user->name;
        if (errors.empty()) return std::nullopt;
        return problem(errors);
      });
  if (!changed) return call.respond(changed.error());
  const UserSpec* user = model::CatalogSnapshot::find_user(*changed->after, user_of(call));
  http::Headers headers = etag_of(changed->revision);
  if (is_new) {
    headers.emplace_back("Location", "/api/tenants/" + http::percent_encode(call.tenant()) + "/users/" +
                                         http::percent_encode(user_of(call)));
  }
  call.answer({{"data", to_json(*changed->after, *user)}}, is_new ? 201 : 200, std::move(headers));
}

void delete_user(Engine& engine, Call call) {
  const auto changed = change_tenant(
      engine.catalog(), call, [&](std::optional<TenantSpec>& tenant) -> std::optional<http::Response> {
        if (!tenant) return no_tenant(call);
        const auto removed =
            std::erase_if(tenant->users, [&](const UserSpec& user) { return user.name == user_of(call); });
        if (auto refusal = refuse_presence(call, "user", removed > 0)) return refusal;
        if (removed == 0) return no_user(call);
        return std::nullopt;
      });
  call.respond(changed ? http::Response{.status = 204} : changed.error());
}

RouteAnswer answer(int status, std::string_view meaning) {
  return {status, meaning, "Problem", "application/problem+json"};
}

}  // namespace

Routes user_routes(Engine& engine) {
  const RouteAnswer no_such = answer(404, "There is no such tenant or user."),
                    stale = answer(412, "The tenant has changed since; see ETag and If-Match.");
  const QueryParameter dry_run = {"dry_run", "boolean", "Only says what would come of it."};
  return {
      {.method = "GET",
       .path = "/api/tenants/{external_id}/users",
       .name = "listUsers",
       .tag = "users",
       .summary = "The users of a tenant",
       .answers = {{200, "All.", "UserList"}, no_such},
       .act = [&engine](Call call) { list_users(engine, std::move(call)); }},
      {.method = "GET",
       .path = "/api/tenants/{external_id}/users/{user}",
       .name = "getUser",
       .tag = "users",
       .summary = "One user",
       .answers = {{200, "The user, with the ETag of its tenant.", "UserAnswer"},
                   {304, "It is as If-None-Match says."},
                   no_such},
       .act = [&engine](Call call) { get_user(engine, std::move(call)); }},
      {.method = "PUT",
       .path = "/api/tenants/{external_id}/users/{user}",
       .name = "putUser",
       .tag = "users",
       .summary = "Creates a user, or changes what the body mentions",
       .scope = Scope::kWrite,
       .query = {dry_run},
       .body = "PutUser",
       .answers = {{201, "The user has been created.", "UserAnswer"},
                   {200, "The user has been changed.", "UserAnswer"},
                   no_such,
                   stale,
                   answer(409, "The tenant would not be valid.")},
       .act = [&engine](Call call) { put_user(engine, std::move(call)); }},
      {.method = "DELETE",
       .path = "/api/tenants/{external_id}/users/{user}",
       .name = "deleteUser",
       .tag = "users",
       .summary = "Removes a user",
       .scope = Scope::kWrite,
       .query = {dry_run},
       .answers = {{204, "The user is gone."}, no_such, stale, answer(409, "The tenant would not be valid.")},
       .act = [&engine](Call call) { delete_user(engine, std::move(call)); }},
  };
}

}  // namespace penstock::admin
