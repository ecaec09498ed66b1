// Documents: many tenants as one YAML or JSON text, for export, import and tenants as code.
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
// Home:   any thread (pure functions, but for what References do).
// Errors: all mistakes at once, each with its path, "tenants.acme.users.app.pool_size: must be …", and its line.
#pragma once

#include <boost/json.hpp>
#include <functional>
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

// Where something stands: names and numbers from the root on: "tenants", "0", "pool_size".
using Place = std::vector<std::string>;

// One tenant of a document, and what the document has said about it.
struct TenantEntry {
  model::TenantSpec spec = {};
  bool tells_users = false;
  std::set<std::string, std::less<>> told = {};                     // fields of the tenant
  std::set<std::pair<std::string, std::string>> told_secrets = {};  // user, field
  Place place = {};
};

struct Mistake {
  std::string path = {};  // of the field, by names; empty: of the document as a whole
  std::string text = {};
  std::string hint = {};
  Place place = {};
  int line = 0;  // 0: not known

  std::string to_string() const { return path.empty() ? text : path + ": " + text; }
};
using Mistakes = std::vector<Mistake>;

struct Document {
  std::vector<TenantEntry> entries = {};
  Mistakes mistakes = {};
};

// What texts of a document may refer to; where a function is missing, they stand for themselves.
struct References {
  // "${NAME}" inside any value; "$${" is a "${" that means itself.
  std::function<base::Result<std::string>(const std::string& name)> variable = {};
  // {file: PATH} as a secret.
  std::function<base::Result<std::string>(const std::string& path)> file = {};
};

// YAML, or JSON when it begins with a brace or bracket: an object with `tenants`, or a list of tenants. Mistakes have
// lines.
Document read_document(std::string_view text, const References& references = {});
// The same of what has been parsed already; mistakes have no lines.
Document read_parsed_document(const boost::json::value& root, const References& references = {});
// Finds the lines of mistakes that have none.
void find_lines(std::string_view text, Mistakes& mistakes);
// The first mistake as message and hint, the others as detail.
base::Error error_of(const Mistakes& mistakes);

// What the tenant becomes; `stored` is what it is, or null.
model::TenantSpec merge(const TenantEntry& entry, const model::TenantSpec* stored);

std::string write_document(const std::vector<model::TenantSpec>& tenants, DocumentFormat format,
                           WithSecrets with_secrets);
boost::json::object document_of(const std::vector<model::TenantSpec>& tenants, WithSecrets with_secrets);
// Every "${" in it means itself where references are read.
boost::json::object without_references(boost::json::object document);
// Reading it gives the same entries, without references.
boost::json::object json_of(const std::vector<TenantEntry>& entries);

}  // namespace penstock::catalog
