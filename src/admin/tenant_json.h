// Tenants and users between the API's JSON and the catalog: our own field names, and Supavisor's beside them.
//
// Home:       any thread (pure).
// Invariants: 1. A secret never gets into an answer.
//             2. An answer that is sent back changes nothing.
//             3. What is not mentioned stays as it is; null means "not set".
#pragma once

#include <boost/json.hpp>
#include <string>

#include "admin/problem.h"
#include "model/tenant.h"

namespace penstock::admin {

// What is wrong, if anything, is added to `errors` under `path`.
void apply(const boost::json::object& wish, model::TenantSpec& tenant, const std::string& path,
           FieldErrors& errors);
void apply(const boost::json::object& wish, model::UserSpec& user, const std::string& path,
           FieldErrors& errors);
// What an answer tells of a secret: {"kind": "password"}.
bool is_described_secret(const boost::json::value& value);
// The name that a wish for a user is about; empty: it has none.
std::string name_in(const boost::json::object& wish);

// The words behind "field: ", for an error that says the field itself.
std::string without_name(const std::string& message);

boost::json::object to_json(const model::TenantSpec& tenant);
boost::json::object to_json(const model::TenantSpec& tenant, const model::UserSpec& user);

}  // namespace penstock::admin
