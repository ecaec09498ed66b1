// Changes of one tenant as the API makes them: with a precondition (If-Match), or on trial (dry run).
//
// Home: the control thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "admin/route.h"
#include "catalog/catalog.h"

namespace penstock::admin {

// Names the tenant's present state: equal states, equal tags. It gives no secret away.
std::string etag_of(const model::TenantSpec& tenant);

struct Changed {
  std::optional<model::TenantSpec> before, after;
};
// An answer, if the change was refused. The edit gets the tenant as it is and leaves it as it shall be.
using TenantEdit = std::function<std::optional<http::Response>(std::optional<model::TenantSpec>& tenant)>;
std::expected<Changed, http::Response> change_tenant(catalog::Catalog& catalog, const Call& call,
                                                     const TenantEdit& edit);

}  // namespace penstock::admin
