// Documents: many tenants as one YAML or JSON text, for export, import and "tenants as code".
//
//   tenants:
//   - id: acme
//     hosts: ["db1:5432"]
//     pool_size: 40
//     users:
//     - name: app
//       secret: top-secret
//
// A document says what a tenant shall be: a field that it leaves out is not set. Two things stay as they are when they
// are left out, because exports leave them out: secrets (`secret: null` removes one) and, as a whole, `users`.
//
// Home:   any thread (pure functions).
// Errors: kInvalidParameterValue with the path: "tenants.acme.users.app.pool_size: must be …".
#pragma once

#include <boost/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/tenant.h"

namespace penstock::catalog {

enum class DocumentFormat : std::uint8_t { kYaml, kJson };
enum class WithSecrets : std::uint8_t { kNo, kYes };

inline constexpr std::size_t kDocumentBytesMax = 256 * 1024 * 1024;

// One tenant of a document, and what the document has said about its users.
struct TenantEntry {
  model::TenantSpec spec = {};
  bool tells_users = false;
  std::set<std::pair<std::string, std::string>> told_secrets = {};  // user, field
};

// YAML, or JSON when it begins with a brace or bracket: an object with `tenants`, or a list of tenants.
base::Result<std::vector<TenantEntry>> read_document(std::string_view text);
// One tenant: {"id":…, fields, "users":[…]}. `id` may be missing if `id` here is not empty.
base::Result<TenantEntry> read_tenant_entry(const boost::json::object& object, std::string_view id = {});

// What the tenant becomes; `stored` is what it is, or null.
model::TenantSpec merge(const TenantEntry& entry, const model::TenantSpec* stored);

std::string write_document(const std::vector<model::TenantSpec>& tenants, DocumentFormat format,
                           WithSecrets with_secrets);

}  // namespace penstock::catalog
