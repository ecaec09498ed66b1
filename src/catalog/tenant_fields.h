// The fields of a tenant and of a user: the one list that the store, the command line, the checks and the
// manual read.
//
// The keys (a tenant's id, a user's name) are no fields: they cannot be changed.
#pragma once

#include "catalog/field.h"
#include "model/tenant.h"

namespace penstock::catalog {

using TenantField = Field<model::TenantSpec>;
using UserField = Field<model::UserSpec>;

const FieldTable<model::TenantSpec>& tenant_fields();
const FieldTable<model::UserSpec>& user_fields();

}  // namespace penstock::catalog
