// `?check=true`: a call that logs in to a tenant's servers as each of its users before it stores anything.
//
// Home:   the control thread.
// Errors: the call is answered 400 with what the server said, or 503 while enough tenants are being tried out.
#pragma once

#include <functional>

#include "admin/engine.h"
#include "admin/route.h"

namespace penstock::admin {

// `then` goes on with the call when the servers let all users in; else it has been answered.
void try_first(Engine& engine, model::TenantPtr tenant, Call call,
               std::move_only_function<void(Call call)> then);

}  // namespace penstock::admin
