// try_tenant() logs in to a tenant's servers as each of its users, and runs its auth_query, so that a mistake in its
// description is found when it is written down and not by its first client.
//
// Home:       LOOP (a coroutine; destroying it gives up)
// Bounds:     one connection at a time, which counts in none of the tenant's limits.
// Waits:      at most kTrialPatience for everything.
// Errors:     the first thing that is wrong, with user, database, hosts, and what the server said. Users of whom only a
//             verifier is known are passed over: their log-in needs a client's.
#pragma once

#include <chrono>
#include <memory>

#include "base/error.h"
#include "config/settings.h"
#include "io/task.h"
#include "model/catalog_snapshot.h"
#include "pool/pool.h"

namespace penstock::session {

inline constexpr base::Duration kTrialPatience = std::chrono::seconds(10);

io::Task<base::Status> try_tenant(pool::PoolHome home, std::shared_ptr<const config::Settings> settings,
                                  model::TenantPtr tenant);

}  // namespace penstock::session
