// admit() says whether a tenant lets a client in, before any password is asked for.
//
// Home:   any thread (pure functions).
// Errors: kInvalidAuthorization, in words for the client.
#pragma once

#include <string_view>

#include "base/error.h"
#include "model/tenant.h"

namespace penstock::catalog {

// `address`: the client's; empty for a Unix socket.
base::Status admit(const model::TenantSpec& tenant, std::string_view address, model::WallTime now);

// The same for clients that are inside already: only a ban counts.
base::Status refuse_banned(const model::TenantSpec& tenant, model::WallTime now);

}  // namespace penstock::catalog
