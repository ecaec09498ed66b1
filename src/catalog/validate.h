// What is wrong with a tenant, or with tenants together, as a list of problems a user can act on.
//
// Home: any thread (pure functions).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/catalog_snapshot.h"
#include "model/tenant.h"

namespace penstock::catalog {

struct Problem {
  enum class Weight : std::uint8_t {
    kError,
    kWarning
  };  // a warning: allowed, but probably not what was meant

  std::string path;  // "tenants.acme.users.app.pool_size"
  std::string text;  // "must be a whole number, 1 to 100000, not "x""
  Weight weight = Weight::kError;

  std::string to_string() const { return path + ": " + text; }
  friend bool operator==(const Problem&, const Problem&) = default;
};

// Everything about one tenant and its users; the empty list means it may be stored.
std::vector<Problem> problems_of(const model::TenantSpec& tenant);

// A name in `field` of `tenant` that leads to tenant `holder` already.
Problem taken_name(const model::TenantSpec& tenant, std::string_view field, std::string_view name,
                   std::string_view holder);

// All tenants of a snapshot, each by itself and together.
std::vector<Problem> problems_of(const model::CatalogSnapshot& snapshot);

// The errors among `problems` as one Error (kInvalidParameterValue): the first is the message, all others the
// detail.
base::Status refuse_errors(const std::vector<Problem>& problems);

}  // namespace penstock::catalog
