// Records: tenants and users as JSON objects, by their field tables; a field that is not set is left out.
//
//   {"hosts":["10.0.0.1:5432"],"upstream_tls":"require","pool_size":40,"query_timeout":"30s","require_tls":true}
//
// A secret is a text, or an object when it is sealed: {"key":"1a2b3c4d5e6f7081","sealed":"<base64>"}. Sealed secrets
// are bound to their tenant, user and field.
//
// Home:       any thread (pure functions).
// Invariants: from_record(record_of(x)) is x, for every x that passes problems_of().
// Errors:     kConfigFileError: no JSON, an unknown field, a value of the wrong type or out of range, a secret whose
//             key is not there.
// Bounds:     the JSON is at most kRecordBytesMax long and two levels deep.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "auth/keyring.h"
#include "base/error.h"
#include "base/random.h"
#include "catalog/audit.h"
#include "model/tenant.h"

namespace penstock::catalog {

inline constexpr std::size_t kRecordBytesMax = 1024 * 1024;

// How secrets stand in records: sealed if there are keys.
struct Sealing {
  const auth::Keyring* keys = nullptr;
  base::Random* random = nullptr;
  std::string_view tenant = {};
};

// Keys (id, name) and, for tenants, users are not part of the record. Secrets are.
std::string record_of(const model::TenantSpec& tenant);
std::string record_of(const model::UserSpec& user, const Sealing& sealing = {});

// Sets what the record says; everything else is left as it is. Of a user, the name must be set before.
base::Status from_record(std::string_view record, model::TenantSpec& tenant, const Sealing& sealing = {});
base::Status from_record(std::string_view record, model::UserSpec& user, const Sealing& sealing = {});

// For each secret in a user's record the id of the key it is sealed with; empty: it is not.
std::vector<std::string> keys_of_secrets(std::string_view user_record);

// [{"number":…, "at":…, "actor":…, "origin":…, "action":…, "tenant":…, "fields":[…], "revision":…}]
boost::json::array array_of(const std::vector<AuditEntry>& entries);
std::string json_of(const std::vector<AuditEntry>& entries);

// Lists of texts as JSON, and back (empty when it is none).
std::string json_of_list(const std::vector<std::string>& list);
std::vector<std::string> list_from_json(std::string_view text);

// For people and programs that only look: {"id":…, fields, "users":[{"name":…, fields}]}. Secrets are
// described, not told: "secret":{"kind":"SCRAM-SHA-256 verifier, 4096 iterations"}.
std::string public_json(const model::TenantSpec& tenant);
std::string public_json(const std::vector<model::TenantSpec>& tenants);
// {"tenant":…,"name":…, fields}
std::string public_json(const model::TenantSpec& tenant, const model::UserSpec& user);
std::string public_json_of_users(const std::vector<model::TenantSpec>& tenants);

}  // namespace penstock::catalog
