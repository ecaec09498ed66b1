// Records: tenants and users as JSON objects, by their field tables; a field that is not set is left out.
//
//   {"hosts":["10.0.0.1:5432"],"upstream_tls":"require","pool_size":40,"query_timeout":"30s","require_tls":true}
//
// Home:       any thread (pure functions).
// Invariants: from_record(record_of(x)) is x, for every x that passes problems_of().
// Errors:     kConfigFileError: no JSON, an unknown field, a value of the wrong type or out of range.
// Bounds:     the JSON is at most kRecordBytesMax long and two levels deep.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/tenant.h"

namespace penstock::catalog {

inline constexpr std::size_t kRecordBytesMax = 1024 * 1024;

// Keys (id, name) and, for tenants, users are not part of the record. Secrets are.
std::string record_of(const model::TenantSpec& tenant);
std::string record_of(const model::UserSpec& user);

// Sets what the record says; everything else is left as it is.
base::Status from_record(std::string_view record, model::TenantSpec& tenant);
base::Status from_record(std::string_view record, model::UserSpec& user);

// For people and programs that only look: {"id":…, fields, "users":[{"name":…, fields}]}. Secrets are
// described, not told: "secret":{"kind":"SCRAM-SHA-256 verifier, 4096 iterations"}.
std::string public_json(const model::TenantSpec& tenant);
std::string public_json(const std::vector<model::TenantSpec>& tenants);
// {"tenant":…,"name":…, fields}
std::string public_json(const model::TenantSpec& tenant, const model::UserSpec& user);
std::string public_json_of_users(const std::vector<model::TenantSpec>& tenants);

}  // namespace penstock::catalog
