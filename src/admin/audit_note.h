// Orders to what runs (pause, drain, kill a client …) in the audit log, beside the changes of the catalog.
//
// Home:   the control thread.
// Errors: what is ordered happens all the same: an entry that cannot be stored is a line "api.not_audited" in the log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "admin/engine.h"
#include "admin/route.h"

namespace penstock::admin {

// Who calls the API, and from where.
catalog::Actor actor_of(const Call& call);

// What was ordered, of which tenant (empty: the process), and of what in it: "pools.app.shop", "clients.7".
struct AuditNote {
  std::string_view action;
  std::string tenant = {};
  std::vector<std::string> subjects = {};
};
// Called when it has been done or begun: an order must not wait for a slow database.
void note_order(Engine& engine, const catalog::Actor& actor, AuditNote note);

}  // namespace penstock::admin
