// Store keeps tenants and users for good: SQLite (SqliteStore) now; other stores behind the same face.
//
// Owner:      Catalog in the server, the command itself on the command line.
// Home:       one thread.
// Invariants: 1. What load() gives passes problems_of(): a store refuses everything else.
//             2. edit() is atomic and durable: after a crash the tenant is as before or as after.
//             3. Every change makes version() larger; other processes may change the store too.
// Errors:     kInvalidParameterValue (refused, with the path of the field), kObjectNotInPrerequisiteState
//             (exists already, does not exist), and those of the store itself: kIoError, kConfigFileError.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "model/catalog_snapshot.h"

namespace penstock::catalog {

// Gets the tenant as it is (nothing: there is none) and leaves what it shall be (nothing: removed). An error
// leaves the store as it was.
using Edit = std::function<base::Status(std::optional<model::TenantSpec>& tenant)>;

// What putting something does when it is there already.
enum class IfExists { kFail, kReplace };

class Store {
 public:
  virtual ~Store() = default;

  virtual base::Result<model::SnapshotPtr> load() = 0;
  // Cheap enough to be asked every second: whether load() would give something else than that version.
  virtual base::Result<bool> changed_since(std::uint64_t version) = 0;
  virtual base::Result<std::uint64_t> version() = 0;
  // Reads, changes and writes one tenant and its users in one transaction. `edit` must leave the id alone.
  virtual base::Status edit(std::string_view tenant_id, const Edit& edit) = 0;

  // The tenant with its users, as a whole.
  base::Status put_tenant(const model::TenantSpec& tenant, IfExists if_exists = IfExists::kReplace);
  base::Status remove_tenant(std::string_view tenant_id);
  base::Status put_user(std::string_view tenant_id, const model::UserSpec& user,
                        IfExists if_exists = IfExists::kReplace);
  base::Status remove_user(std::string_view tenant_id, std::string_view name);
};

base::Error no_such_tenant(std::string_view tenant_id);
base::Error no_such_user(std::string_view tenant_id, std::string_view name);

}  // namespace penstock::catalog
