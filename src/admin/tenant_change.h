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

// The ETag of a tenant: the number of its revision, and what else the answer depends on, in quotation marks: "17-paused".
// If-Match looks at the revision only.
http::Headers etag_of(const model::TenantRevision& revision, std::string_view more = {});

// If-None-Match of a GET: whether what has this tag is what the client has.
bool has_it_already(const Call& call, const http::Headers& tag);

// What "*" demands of a part of a tenant ("user"): If-None-Match that it is not there, If-Match that it is.
std::optional<http::Response> refuse_presence(const Call& call, std::string_view what, bool is_there);

// Who asks, for the audit log; and whether it is on trial.
catalog::EditOptions edit_options(const Call& call);

// An answer, if the change was refused. The edit gets the tenant as it is and leaves it as it shall be.
using TenantEdit = std::function<std::optional<http::Response>(std::optional<model::TenantSpec>& tenant)>;
std::expected<catalog::Edited, http::Response> change_tenant(catalog::Catalog& catalog, const Call& call,
                                                             const TenantEdit& edit);
// The same, only to see what would come of it.
std::expected<catalog::Edited, http::Response> try_change(catalog::Catalog& catalog, const Call& call,
                                                          const TenantEdit& edit);

}  // namespace penstock::admin
