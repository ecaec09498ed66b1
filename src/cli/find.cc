#include "cli/find.h"

#include <fmt/format.h>

#include "catalog/resolve.h"

namespace penstock::cli {

using model::TenantSpec;

base::Result<std::vector<TenantSpec>> all_tenants(OpenCatalog& catalog) {
  const base::Result<model::SnapshotPtr> snapshot = catalog.store->load();
  if (!snapshot) return base::fail(snapshot.error());
  std::vector<TenantSpec> tenants;
  for (const model::TenantPtr& tenant : (*snapshot)->tenants()) tenants.push_back(*tenant);
  return tenants;
}

base::Result<TenantSpec> find_tenant(OpenCatalog& catalog, const std::string& id) {
  base::Result<std::vector<TenantSpec>> tenants = all_tenants(catalog);
  if (!tenants) return base::fail(tenants.error());
  std::vector<std::string> ids;
  for (TenantSpec& tenant : *tenants) {
    if (tenant.id == id) return std::move(tenant);
    ids.push_back(tenant.id);
  }
  base::Error error = catalog::no_such_tenant(id);
  error.hint = did_you_mean(id, ids, "`penstock tenant list` shows all.");
  return base::fail(std::move(error));
}

base::Result<UserPath> find_user_path(OpenCatalog& catalog, const std::string& typed,
                                      const std::string& tenant_id) {
  if (!tenant_id.empty()) {
    base::Result<TenantSpec> tenant = find_tenant(catalog, tenant_id);
    if (!tenant) return base::fail(tenant.error());
    return UserPath{.tenant = *std::move(tenant), .name = typed};
  }
  const base::Result<model::SnapshotPtr> snapshot = catalog.store->load();
  if (!snapshot) return base::fail(snapshot.error());
  const auto resolved = catalog::resolve(**snapshot, {.user = typed});
  if (resolved) return UserPath{.tenant = *resolved->tenant, .name = resolved->user};
  return base::fail(base::kUndefinedObject, fmt::format("\"{}\" leads to no tenant", typed),
                    fmt::format("There is no default tenant \"{}\".", catalog.settings.default_tenant),
                    "Write USER.TENANT or --tenant ID; `penstock tenant list` shows all tenants.");
}

base::Result<model::UserSpec> find_user(const UserPath& path) {
  if (const model::UserSpec* user = model::CatalogSnapshot::find_user(path.tenant, path.name)) return *user;
  std::vector<std::string> names;
  for (const model::UserSpec& user : path.tenant.users) names.push_back(user.name);
  base::Error error = catalog::no_such_user(path.tenant.id, path.name);
  error.hint = did_you_mean(path.name, names,
                            fmt::format("`penstock user list --tenant {}` shows all.", path.tenant.id));
  return base::fail(std::move(error));
}

}  // namespace penstock::cli
