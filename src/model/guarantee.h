// What users of a tenant are guaranteed of its server connections (guaranteed_pool_size).
//
// Users who log in to the server as the same role share one guarantee, the largest of theirs: their
// connections are the same.
//
// Home: any thread (pure).
#pragma once

#include <string>
#include <string_view>

#include "model/tenant.h"

namespace penstock::model {

// The role that the user's connections log in to the server as.
const std::string& role_of(const UserSpec& user);

int guaranteed_to_all(const TenantSpec& tenant);
int guaranteed_to(const TenantSpec& tenant, std::string_view role);

}  // namespace penstock::model
