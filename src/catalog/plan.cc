#include "catalog/plan.h"

#include <algorithm>
#include <array>
#include <set>

#include "catalog/ban.h"
#include "catalog/field.h"
#include "catalog/tenant_fields.h"

namespace penstock::catalog {

namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::UserSpec;

constexpr std::array<std::string_view, 4> kBan = {"banned", "ban_reason", "banned_at", "banned_until"};

void keep_ban(const TenantEntry& entry, const TenantSpec& stored, TenantSpec& tenant) {
  const bool is_told =
      std::ranges::any_of(kBan, [&](std::string_view name) { return entry.told.contains(name); });
  for (const std::string_view name : kBan) {
    const TenantField* field = find_field(tenant_fields(), name);
    if (!is_told) (void)field->set(tenant, field->get(stored));
  }
}

TenantSpec wished(const TenantEntry& entry, const TenantSpec* stored, Prune prune,
                  std::vector<Stray>& strays) {
  TenantSpec tenant = merge(entry, stored);
  if (stored == nullptr) return tenant;
  keep_ban(entry, *stored, tenant);
  if (prune == Prune::kNo) {
    for (const UserSpec& user : stored->users) {
      if (model::CatalogSnapshot::find_user(tenant, user.name) != nullptr) continue;
      strays.push_back({.tenant = tenant.id, .user = user.name});
      tenant.users.push_back(user);
    }
  }
  return tenant;
}

// Of "banned_until: must be …".
Problem problem_at(const std::string& path, std::string_view message) {
  const std::size_t colon = message.find(": ");
  return {.path = path + "." + std::string(message.substr(0, colon)),
          .text = std::string(message.substr(colon + 2))};
}

bool is_set(const Values& values) {
  return !values.empty();
}

template <class Spec>
json::array field_changes(const FieldTable<Spec>& table, const Spec& before, const Spec& after) {
  json::array list;
  for (const Field<Spec>& field : table) {
    const Values old = field.get(before), fresh = field.get(after);
    if (old == fresh) continue;
    json::object change{{"field", field.name},
                        {"action", !is_set(old)     ? "add"
                                   : !is_set(fresh) ? "remove"
                                                    : "change"}};
    if (field.kind != FieldKind::kSecret) {
      if (is_set(old)) change["before"] = shown(field, before);
      if (is_set(fresh)) change["after"] = shown(field, after);
    }
    list.push_back(std::move(change));
  }
  return list;
}

json::array user_changes(const TenantSpec& before, const TenantSpec& after) {
  json::array list;
  for (const UserSpec& user : after.users) {
    const UserSpec* old = model::CatalogSnapshot::find_user(before, user.name);
    if (old != nullptr && *old == user) continue;
    list.push_back({{"action", old == nullptr ? "add" : "change"},
                    {"user", user.name},
                    {"fields", field_changes(user_fields(), old == nullptr ? UserSpec() : *old, user)}});
  }
  for (const UserSpec& user : before.users) {
    if (model::CatalogSnapshot::find_user(after, user.name) != nullptr) continue;
    list.push_back({{"action", "remove"}, {"user", user.name}, {"fields", json::array()}});
  }
  return list;
}

json::object json_of(const Edited& change) {
  json::object object{
      {"action", !change.before  ? "add"
                 : !change.after ? "remove"
                                 : "change"},
      {"tenant", change.after ? change.after->id : change.before->id},
      {"revision", change.revision.number},
  };
  const TenantSpec none;
  const TenantSpec& before = change.before ? *change.before : none;
  object["fields"] = change.after ? field_changes(tenant_fields(), before, *change.after) : json::array();
  object["users"] = user_changes(before, change.after ? *change.after : none);
  return object;
}

// Of the catalog as it would be. Nobody is warned of tenants that stay as they are.
std::vector<Problem> problems_after(const std::map<std::string, model::TenantPtr, std::less<>>& after,
                                    const Plan& plan) {
  std::vector<model::TenantPtr> all;
  for (const auto& [id, tenant] : after) all.push_back(tenant);
  std::vector<Problem> problems = problems_of(model::CatalogSnapshot(all));
  std::set<std::string, std::less<>> changed;
  for (const Edited& change : plan.changes) {
    if (change.after) changed.insert(change.after->id);
  }
  std::erase_if(problems, [&](const Problem& problem) {
    constexpr std::string_view kPrefix = "tenants.";
    const std::string_view rest = std::string_view(problem.path).substr(kPrefix.size());
    return problem.weight == Problem::Weight::kWarning && !changed.contains(rest.substr(0, rest.find('.')));
  });
  return problems;
}

}  // namespace

Plan make_plan(const model::CatalogSnapshot& now, const std::vector<TenantEntry>& entries, Prune prune,
               model::WallTime moment) {
  Plan plan;
  std::vector<Problem> refused;
  std::map<std::string, const TenantEntry*, std::less<>> named;
  for (const TenantEntry& entry : entries) named.emplace(entry.spec.id, &entry);
  std::map<std::string, model::TenantPtr, std::less<>> after;
  for (const model::TenantPtr& tenant : now.tenants()) {
    if (named.contains(tenant->id)) continue;
    if (prune == Prune::kNo) {
      after.emplace(tenant->id, tenant);
      plan.strays.push_back({.tenant = tenant->id});
    } else {
      plan.changes.push_back({.before = *tenant, .revision = now.revision_of(tenant->id)});
    }
  }
  for (const auto& [id, entry] : named) {
    const model::TenantPtr stored = now.by_id(id);
    TenantSpec tenant = wished(*entry, stored.get(), prune, plan.strays);
    std::ranges::sort(tenant.users, {}, &UserSpec::name);
    const TenantSpec nothing;
    if (auto settled = settle_written_ban(stored == nullptr ? nothing : *stored, tenant, moment); !settled) {
      refused.push_back(problem_at("tenants." + id, settled.error().message));
    }
    if (stored == nullptr || *stored != tenant) {
      plan.changes.push_back({.before = stored == nullptr ? std::nullopt : std::optional(*stored),
                              .after = tenant,
                              .revision = now.revision_of(id)});
    }
    after.emplace(id, std::make_shared<const TenantSpec>(std::move(tenant)));
  }
  std::ranges::sort(plan.changes, {}, [](const Edited& change) {
    return std::string_view(change.after ? change.after->id : change.before->id);
  });
  plan.problems = problems_after(after, plan);
  std::ranges::move(refused, std::back_inserter(plan.problems));
  return plan;
}

std::map<std::string, std::uint64_t, std::less<>> revisions_of(const Plan& plan) {
  std::map<std::string, std::uint64_t, std::less<>> revisions;
  for (const Edited& change : plan.changes) {
    revisions.emplace(change.after ? change.after->id : change.before->id, change.revision.number);
  }
  return revisions;
}

void apply_plan(const Plan& plan, Tenants& tenants) {
  for (const Edited& change : plan.changes) {
    if (change.after) {
      tenants[change.after->id] = *change.after;
    } else {
      tenants.erase(change.before->id);
    }
  }
}

json::object json_of(const Plan& plan) {
  json::array changes, strays, warnings;
  for (const Edited& change : plan.changes) changes.push_back(json_of(change));
  for (const Stray& stray : plan.strays) {
    json::object object{{"tenant", stray.tenant}};
    if (!stray.user.empty()) object["user"] = stray.user;
    strays.push_back(std::move(object));
  }
  for (const Problem& problem : plan.problems) {
    if (problem.weight == Problem::Weight::kWarning) warnings.emplace_back(problem.to_string());
  }
  return {{"changes", std::move(changes)}, {"strays", std::move(strays)}, {"warnings", std::move(warnings)}};
}

}  // namespace penstock::catalog
