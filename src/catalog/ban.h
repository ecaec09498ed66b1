// What becomes of a tenant's ban when somebody changes it.
//
// Without it, a ban could take over the end of an earlier one, and be over as it begins.
//
// Home:   any thread (pure functions).
// Errors: kInvalidParameterValue: the ban would end before it begins.
#pragma once

#include "base/error.h"
#include "model/tenant.h"

namespace penstock::catalog {

// Each ban is one of its own: called before the new one's fields are set, when `banned` is among them.
void forget_ban(model::TenantSpec& tenant);

// Dates a new ban, and refuses an end in the past. One that is left as it was `before` may be over.
base::Status settle_ban(const model::TenantSpec& before, model::TenantSpec& after, model::WallTime now);
// The same where `after` comes from a document, which says what shall be: a ban that goes on keeps its beginning, and
// one whose beginning is written was exported: it may be over.
base::Status settle_written_ban(const model::TenantSpec& before, model::TenantSpec& after,
                                model::WallTime now);

}  // namespace penstock::catalog
