// `?check=true`: a call that logs in to tenants' servers as each of their users before it stores anything.
//
// Home:   the control thread.
// Waits:  less than the HTTP port waits for an answer, however many tenants there are; several are tried at once.
// Errors: the call is answered 400 with what a server said first, or 503 when all take too long, or while enough
//         tenants are being tried out.
#pragma once

#include <functional>
#include <vector>

#include "admin/engine.h"
#include "admin/route.h"

namespace penstock::admin {

// `then` goes on with the call when the servers let all users in; else it has been answered.
void try_first(Engine& engine, std::vector<model::TenantPtr> tenants, Call call,
               std::move_only_function<void(Call call)> then);

}  // namespace penstock::admin
