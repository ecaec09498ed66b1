// Clusters in Supavisor's form: one name for several tenants, of which one is used.
//
// They are no things of their own in the catalog: each tenant says which cluster it is a member of, and as what.
#include <algorithm>
#include <map>
#include <memory>

#include "admin/api.h"
#include "admin/problem.h"
#include "admin/tenant_change.h"
#include "admin/trial.h"
#include "catalog/timestamp.h"
#include "model/words.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;
using model::TenantSpec;

struct Member {
  model::TenantPtr tenant;
  model::TenantRevision revision;
};
using Members = std::vector<Member>;

const std::string& alias_of(const Call& call) {
  return call.path.find("alias")->second;
}

http::Response no_cluster(const Call& call) {
  return not_found("cluster \"" + alias_of(call) + "\"");
}

Members members_of(const model::CatalogSnapshot& snapshot, const std::string& alias) {
  Members members;
  for (const model::TenantPtr& tenant : snapshot.members_of(alias)) {
    members.push_back({tenant, snapshot.revision_of(tenant->id)});
  }
  return members;
}

// The newest revision among the members, and how many they are: whoever joins or changes makes the first larger, and as
// long as it stays, members can only leave.
std::string tag_of(const Members& members) {
  std::uint64_t newest = 0;
  for (const Member& member : members) newest = std::max(newest, member.revision.number);
  return '"' + std::to_string(newest) + '-' + std::to_string(members.size()) + '"';
}

json::object described(const Members& members) {
  json::array list;
  bool is_active = false;
  model::WallTime inserted = model::WallTime::max(), updated = {};
  for (const auto& [tenant, revision] : members) {
    inserted = std::min(inserted, revision.created_at);
    updated = std::max(updated, revision.changed_at);
    is_active = is_active || !tenant->cluster_standby;
    list.push_back({{"id", tenant->id},
                    {"type", model::word_of(tenant->cluster_role)},
                    {"active", !tenant->cluster_standby},
                    {"cluster_alias", tenant->cluster},
                    {"tenant_external_id", tenant->id},
                    {"inserted_at", catalog::to_text(revision.created_at)},
                    {"updated_at", catalog::to_text(revision.changed_at)}});
  }
  const std::string& alias = members.front().tenant->cluster;
  return {{"id", alias},
          {"alias", alias},
          {"active", is_active},
          {"inserted_at", catalog::to_text(inserted)},
          {"updated_at", catalog::to_text(updated)},
          {"cluster_tenants", std::move(list)}};
}

void answer_cluster(Call& call, const Members& members, int status = 200, http::Headers more = {}) {
  // Another node has just made it as it was wished here, and we have not heard of it yet.
  if (members.empty()) return call.respond(problem(503, "the cluster is stored, but not known here yet"));
  more.emplace_back("ETag", tag_of(members));
  call.answer({{"data", described(members)}}, status, std::move(more));
}

void list_clusters(Engine& engine, Call call) {
  const model::SnapshotPtr snapshot = engine.catalog().snapshot();
  std::map<std::string_view, Members> clusters;
  for (const model::TenantPtr& tenant : snapshot->tenants()) {
    if (tenant->cluster.empty()) continue;
    clusters[tenant->cluster].push_back({tenant, snapshot->revision_of(tenant->id)});
  }
  json::array data;
  for (const auto& [alias, members] : clusters) data.push_back(described(members));
  call.answer({{"data", std::move(data)}});
}

void get_cluster(Engine& engine, Call call) {
  const Members members = members_of(*engine.catalog().snapshot(), alias_of(call));
  if (members.empty()) return call.respond(no_cluster(call));
  const std::string tag = tag_of(members);
  if (call.request.header("if-none-match").find(tag) != std::string_view::npos) {
    return call.respond({.status = 304, .headers = {{"ETag", tag}}});
  }
  answer_cluster(call, members);
}

// What is wished of one tenant.
struct Wish {
  model::ClusterRole role = model::ClusterRole::kWrite;
  bool is_active = true;
};
using Wishes = std::map<std::string, Wish>;

bool flag(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->get_bool();
}

Wishes wishes_in(const json::object& cluster, const Members& present) {
  Wishes wishes;
  const bool is_active = flag(cluster, "active");
  if (const json::value* list = cluster.if_contains("cluster_tenants")) {
    for (const json::value& item : list->as_array()) {
      const json::object& member = item.as_object();
      const json::value* type = member.if_contains("type");
      wishes[std::string(member.at("tenant_external_id").get_string())] = {
          .role = type == nullptr
                      ? model::ClusterRole::kWrite
                      : *model::from_word<model::ClusterRole>(std::string_view(type->get_string())),
          .is_active = is_active && flag(member, "active")};
    }
  } else {
    for (const Member& member : present) {
      wishes[member.tenant->id] = {.role = member.tenant->cluster_role, .is_active = is_active};
    }
  }
  return wishes;
}

// Makes exactly those of `wishes` members of the cluster.
void assign(catalog::Tenants& tenants, const std::string& alias, const Wishes& wishes, FieldErrors& errors) {
  for (auto& [id, tenant] : tenants) {
    const auto wish = wishes.find(id);
    if (wish == wishes.end()) {
      if (tenant.cluster != alias) continue;
      tenant.cluster.clear();
      tenant.cluster_role = {};
      tenant.cluster_standby = false;
    } else if (!tenant.cluster.empty() && tenant.cluster != alias) {
      errors["cluster.cluster_tenants"].push_back("tenant \"" + id + "\" is in cluster \"" + tenant.cluster +
                                                  "\"");
    } else {
      tenant.cluster = alias;
      tenant.cluster_role = wish->second.role;
      tenant.cluster_standby = !wish->second.is_active;
    }
  }
  for (const auto& [id, wish] : wishes) {
    if (!tenants.contains(id)) {
      errors["cluster.cluster_tenants"].push_back("tenant \"" + id + "\" does not exist");
    }
  }
}

// Whether the cluster is as the client believes.
std::optional<http::Response> check_precondition(const Call& call, const Members& present) {
  const std::string_view match = call.request.header("if-match");
  if (match == "*" && present.empty()) return problem(412, "there is no such cluster");
  if (!match.empty() && match != "*" &&
      (present.empty() || match.find(tag_of(present)) == std::string_view::npos)) {
    return problem(412, "the cluster has changed", "Read it again, and repeat the change.");
  }
  if (call.request.header("if-none-match") == "*" && !present.empty()) {
    return problem(412, "the cluster exists already");
  }
  return std::nullopt;
}

bool is_conditional(const Call& call) {
  return !call.request.header("if-match").empty() || !call.request.header("if-none-match").empty();
}

// The members afterwards. `present` are those that the precondition was checked with: the store compares them, in the
// transaction that makes the change, with those it has.
std::expected<Members, http::Response> change_members(Engine& engine, const Call& call,
                                                      const Members& present, const Wishes& wishes,
                                                      catalog::Effect effect) {
  if (auto refusal = check_precondition(call, present)) return std::unexpected(std::move(*refusal));
  FieldErrors errors;
  bool is_stale = false;
  catalog::EditOptions options = edit_options(call);
  if (effect == catalog::Effect::kDryRun) options.effect = effect;
  if (is_conditional(call)) {
    for (const Member& member : present)
      options.expected_revisions[member.tenant->id] = member.revision.number;
  }
  const auto edited = engine.catalog().edit_all(
      [&](catalog::Tenants& tenants) -> base::Status {
        const auto members = std::ranges::count_if(
            tenants, [&](const auto& entry) { return entry.second.cluster == alias_of(call); });
        is_stale = is_conditional(call) && static_cast<std::size_t>(members) != present.size();
        assign(tenants, alias_of(call), wishes, errors);
        if (!errors.empty() || is_stale) return base::fail(base::kInvalidParameterValue, "refused");
        return {};
      },
      options);
  if (is_stale) return std::unexpected(problem(412, "the cluster has changed"));
  if (!errors.empty()) return std::unexpected(problem(errors));
  if (!edited) return std::unexpected(problem(edited.error()));
  std::map<std::string, Member> after;
  for (const Member& member : members_of(*engine.catalog().snapshot(), alias_of(call))) {
    after[member.tenant->id] = member;
  }
  for (const catalog::Edited& change : *edited) {
    const std::string& id = change.before ? change.before->id : change.after->id;
    after.erase(id);
    if (!change.after || change.after->cluster != alias_of(call)) continue;
    after[id] = {std::make_shared<const TenantSpec>(*change.after), change.revision};
  }
  Members members;
  for (auto& [id, member] : after) members.push_back(std::move(member));
  return members;
}

void store_cluster(Engine& engine, Call call, const Members& present, const Wishes& wishes) {
  const auto members = change_members(engine, call, present, wishes, catalog::Effect::kStored);
  if (!members) return call.respond(members.error());
  http::Headers headers;
  if (present.empty()) {
    headers.emplace_back("Location", "/api/clusters/" + http::percent_encode(alias_of(call)));
  }
  answer_cluster(call, *members, present.empty() ? 201 : 200, std::move(headers));
}

void put_cluster(Engine& engine, Call call) {
  Members present = members_of(*engine.catalog().snapshot(), alias_of(call));
  Wishes wishes = wishes_in(call.body.at("cluster").as_object(), present);
  if (wishes.empty()) {
    return call.respond(problem(FieldErrors{{"cluster.cluster_tenants", {"must name at least one tenant"}}}));
  }
  if (!call.flag("check")) return store_cluster(engine, std::move(call), present, wishes);
  auto wished = change_members(engine, call, present, wishes, catalog::Effect::kDryRun);
  if (!wished) return call.respond(std::move(wished.error()));
  std::vector<model::TenantPtr> tenants;
  for (const Member& member : *wished) tenants.push_back(member.tenant);
  try_first(engine, std::move(tenants), std::move(call),
            [&engine, present = std::move(present), wishes = std::move(wishes)](Call tried) {
              store_cluster(engine, std::move(tried), present, wishes);
            });
}

void delete_cluster(Engine& engine, Call call) {
  const Members present = members_of(*engine.catalog().snapshot(), alias_of(call));
  if (present.empty()) return call.respond(no_cluster(call));
  const auto changed = change_members(engine, call, present, {}, catalog::Effect::kStored);
  call.respond(changed ? http::Response{.status = 204} : changed.error());
}

}  // namespace

Routes cluster_routes(Engine& engine) {
  const RouteAnswer missing = {404, "There is no such cluster.", "Problem", "application/problem+json"};
  const RouteAnswer stale = {412, "The cluster has changed since; see ETag and If-Match.", "Problem",
                             "application/problem+json"};
  const RouteAnswer taken = {409, "It cannot be done as things are.", "Problem", "application/problem+json"};
  const QueryParameter dry_run = {"dry_run", "boolean", "Only says what would come of it."};
  constexpr std::string_view kPath = "/api/clusters/{alias}";
  return {{.method = "GET",
           .path = "/api/clusters",
           .name = "listClusters",
           .tag = "clusters",
           .summary = "All clusters",
           .answers = {{200, "All.", "ClusterList"}},
           .act = [&engine](Call call) { list_clusters(engine, std::move(call)); }},
          {.method = "GET",
           .path = kPath,
           .name = "getCluster",
           .tag = "clusters",
           .summary = "One cluster with its tenants",
           .answers = {{200, "The cluster, with its ETag.", "ClusterAnswer"},
                       {304, "It is as If-None-Match says."},
                       missing},
           .act = [&engine](Call call) { get_cluster(engine, std::move(call)); }},
          {.method = "PUT",
           .path = kPath,
           .name = "putCluster",
           .tag = "clusters",
           .summary = "Makes these tenants, and no others, the members of a cluster",
           .scope = Scope::kWrite,
           .query = {dry_run,
                     {"check", "boolean",
                      "First logs in to the members' servers as each user; 400 if that fails, and nothing is "
                      "changed."}},
           .body = "PutCluster",
           .answers = {{201, "It has been created.", "ClusterAnswer"},
                       {200, "It has been changed.", "ClusterAnswer"},
                       stale,
                       taken},
           .act = [&engine](Call call) { put_cluster(engine, std::move(call)); }},
          {.method = "DELETE",
           .path = kPath,
           .name = "deleteCluster",
           .tag = "clusters",
           .summary = "Dissolves a cluster; its tenants stay",
           .scope = Scope::kWrite,
           .query = {dry_run},
           .answers = {{204, "It is gone."}, missing, stale},
           .act = [&engine](Call call) { delete_cluster(engine, std::move(call)); }}};
}

}  // namespace penstock::admin
