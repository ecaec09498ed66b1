// Clusters in Supavisor's form: one name for several tenants, of which one is used.
//
// They are no things of their own in the catalog: each tenant says which cluster it is a member of, and as what.
#include <algorithm>
#include <map>

#include "admin/api.h"
#include "admin/problem.h"
#include "admin/tenant_change.h"
#include "catalog/timestamp.h"
#include "model/words.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;
using model::TenantSpec;
using Members = std::vector<model::TenantPtr>;

const std::string& alias_of(const Call& call) {
  return call.path.find("alias")->second;
}

http::Response no_cluster(const Call& call) {
  return not_found("cluster \"" + alias_of(call) + "\"");
}

// There is no cluster without a member.
json::object described(const Members& members, const model::CatalogSnapshot& snapshot) {
  json::array list;
  bool is_active = false;
  model::WallTime inserted = model::WallTime::max(), updated = {};
  for (const model::TenantPtr& member : members) {
    const model::TenantRevision revision = snapshot.revision_of(member->id);
    inserted = std::min(inserted, revision.created_at);
    updated = std::max(updated, revision.changed_at);
    is_active = is_active || !member->cluster_standby;
    list.push_back({{"id", member->id},
                    {"type", model::word_of(member->cluster_role)},
                    {"active", !member->cluster_standby},
                    {"cluster_alias", member->cluster},
                    {"tenant_external_id", member->id},
                    {"inserted_at", catalog::to_text(revision.created_at)},
                    {"updated_at", catalog::to_text(revision.changed_at)}});
  }
  const std::string& alias = members.front()->cluster;
  return {{"id", alias},
          {"alias", alias},
          {"active", is_active},
          {"inserted_at", catalog::to_text(inserted)},
          {"updated_at", catalog::to_text(updated)},
          {"cluster_tenants", std::move(list)}};
}

void list_clusters(Engine& engine, Call call) {
  const model::SnapshotPtr snapshot = engine.catalog().snapshot();
  std::map<std::string_view, Members> clusters;
  for (const model::TenantPtr& tenant : snapshot->tenants()) {
    if (!tenant->cluster.empty()) clusters[tenant->cluster].push_back(tenant);
  }
  json::array data;
  for (const auto& [alias, members] : clusters) data.push_back(described(members, *snapshot));
  call.answer({{"data", std::move(data)}});
}

void get_cluster(Engine& engine, Call call) {
  const model::SnapshotPtr snapshot = engine.catalog().snapshot();
  const Members members = snapshot->members_of(alias_of(call));
  if (members.empty()) return call.respond(no_cluster(call));
  call.answer({{"data", described(members, *snapshot)}});
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
    for (const model::TenantPtr& member : present) {
      wishes[member->id] = {.role = member->cluster_role, .is_active = is_active};
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

// Nothing when it is done.
std::optional<http::Response> change_members(Engine& engine, const Call& call, const Wishes& wishes) {
  FieldErrors errors;
  const auto edited = engine.catalog().edit_all(
      [&](catalog::Tenants& tenants) -> base::Status {
        assign(tenants, alias_of(call), wishes, errors);
        if (!errors.empty()) return base::fail(base::kInvalidParameterValue, "refused");
        return {};
      },
      edit_options(call));
  if (!errors.empty()) return problem(errors);
  if (!edited) return problem(edited.error());
  return std::nullopt;
}

void put_cluster(Engine& engine, Call call) {
  const Members before = engine.catalog().snapshot()->members_of(alias_of(call));
  const Wishes wishes = wishes_in(call.body.at("cluster").as_object(), before);
  if (wishes.empty()) {
    return call.respond(problem(FieldErrors{{"cluster.cluster_tenants", {"must name at least one tenant"}}}));
  }
  if (auto refusal = change_members(engine, call, wishes)) return call.respond(std::move(*refusal));
  const model::SnapshotPtr snapshot = engine.catalog().snapshot();
  const Members now = snapshot->members_of(alias_of(call));
  if (now.empty()) return call.respond(problem(409, "the cluster has been dissolved in the same moment"));
  http::Headers headers;
  if (before.empty())
    headers.emplace_back("Location", "/api/clusters/" + http::percent_encode(alias_of(call)));
  call.answer({{"data", described(now, *snapshot)}}, before.empty() ? 201 : 200, std::move(headers));
}

void delete_cluster(Engine& engine, Call call) {
  if (engine.catalog().snapshot()->members_of(alias_of(call)).empty()) return call.respond(no_cluster(call));
  auto refusal = change_members(engine, call, {});
  call.respond(refusal ? std::move(*refusal) : http::Response{.status = 204});
}

}  // namespace

Routes cluster_routes(Engine& engine) {
  const RouteAnswer missing = {404, "There is no such cluster.", "Problem", "application/problem+json"};
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
           .answers = {{200, "The cluster.", "ClusterAnswer"}, missing},
           .act = [&engine](Call call) { get_cluster(engine, std::move(call)); }},
          {.method = "PUT",
           .path = kPath,
           .name = "putCluster",
           .tag = "clusters",
           .summary = "Makes these tenants, and no others, the members of a cluster",
           .scope = Scope::kWrite,
           .body = "PutCluster",
           .answers = {{201, "It has been created.", "ClusterAnswer"},
                       {200, "It has been changed.", "ClusterAnswer"},
                       {409, "Somebody has dissolved it in the same moment.", "Problem",
                        "application/problem+json"}},
           .act = [&engine](Call call) { put_cluster(engine, std::move(call)); }},
          {.method = "DELETE",
           .path = kPath,
           .name = "deleteCluster",
           .tag = "clusters",
           .summary = "Dissolves a cluster; its tenants stay",
           .scope = Scope::kWrite,
           .answers = {{204, "It is gone."}, missing},
           .act = [&engine](Call call) { delete_cluster(engine, std::move(call)); }}};
}

}  // namespace penstock::admin
