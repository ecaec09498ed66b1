// Looking up tenants and users by what was typed, with a suggestion when there is none.
//
// Errors: kUndefinedObject when it does not exist; those of the store.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "model/tenant.h"

namespace penstock::cli {

// By id.
base::Result<std::vector<model::TenantSpec>> all_tenants(OpenCatalog& catalog);
base::Result<model::TenantSpec> find_tenant(OpenCatalog& catalog, const std::string& id);

struct UserPath {
  model::TenantSpec tenant;
  std::string name;
};
// `typed` is NAME with --tenant; otherwise NAME.TENANT if such a tenant exists, else a user of the default
// tenant: the rules by which clients are told apart (catalog/resolve.h).
base::Result<UserPath> find_user_path(OpenCatalog& catalog, const std::string& typed,
                                      const std::string& tenant_id);

// The user itself; there must be one.
base::Result<model::UserSpec> find_user(const UserPath& path);

}  // namespace penstock::cli
