// Store keeps tenants and users for good: one SQLite file (SqliteStore) or a Postgres database (PostgresStore).
//
// Owner:      Catalog in the server, the command itself on the command line.
// Home:       one thread.
// Invariants: 1. What load() gives passes problems_of(): a store refuses everything else.
//             2. An edit is atomic and durable: after a crash everything is as before or as after.
//             3. Every change makes version() larger; the tenants it touches have that number as their revision.
//                Other processes may change the store too.
//             4. Every change leaves an entry in the audit log, in the same transaction.
// Errors:     kInvalidParameterValue (refused, with the path of the field), kUndefinedObject, kDuplicateObject,
//             kSerializationFailure (another revision than the expected one), and those of the store itself:
//             kIoError, kConfigFileError, kConnectionFailure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/audit.h"
#include "model/catalog_snapshot.h"

namespace penstock::catalog {

// Gets the tenant as it is (nothing: there is none) and leaves what it shall be (nothing: removed). An error
// leaves the store as it was.
using Edit = std::function<base::Status(std::optional<model::TenantSpec>& tenant)>;

// The same with all tenants together, by id.
using Tenants = std::map<std::string, model::TenantSpec, std::less<>>;
using EditAll = std::function<base::Status(Tenants& tenants)>;

enum class Effect : std::uint8_t { kStored, kDryRun };  // kDryRun: all is checked, nothing is changed
// Whether edit() may remove a tenant whose record cannot be read (damaged, or its key is gone). It is given as one of
// which nothing but the id is known, and anything but its removal fails.
enum class Unreadable : std::uint8_t { kRefused, kMayBeRemoved };

struct EditOptions {
  Actor actor = {};
  // The number of the revision that the change was made from; 0: there must be no such tenant.
  std::optional<std::uint64_t> expected_revision = {};
  // The same for edit_all(), by tenant; of the others nothing is expected.
  std::map<std::string, std::uint64_t, std::less<>> expected_revisions = {};
  Effect effect = Effect::kStored;
  Unreadable unreadable = Unreadable::kRefused;
};

// What an edit has done to one tenant.
struct Edited {
  std::optional<model::TenantSpec> before = {};
  std::optional<model::TenantSpec> after = {};
  model::TenantRevision revision = {};  // afterwards; of a dry run: the present one; number 0: there is none

  bool changed() const { return before != after; }
};

// For CatalogSnapshot::with().
std::vector<model::TenantChange> changes_of(std::span<const Edited> changes);

// How the secrets in the store are kept.
struct SealReport {
  std::size_t sealed = 0;  // with the key that seals
  std::size_t by_old_key = 0;
  std::size_t plain = 0;
  friend bool operator==(const SealReport&, const SealReport&) = default;
};

// What putting something does when it is there already.
enum class IfExists { kFail, kReplace };

class Store {
 public:
  virtual ~Store() = default;

  // Everything; tenants that `known` has in the same revision are not read again.
  virtual base::Result<model::SnapshotPtr> load(const model::SnapshotPtr& known = nullptr) = 0;
  // Cheap enough to be asked every second: whether load() would give something else than that version.
  virtual base::Result<bool> changed_since(std::uint64_t version) = 0;
  virtual base::Result<std::uint64_t> version() = 0;
  // Reads, changes and writes one tenant and its users in one transaction. `edit` must leave the id alone.
  virtual base::Result<Edited> edit(std::string_view tenant_id, const Edit& edit,
                                    const EditOptions& options = {}) = 0;
  // The same with all tenants at once; gives those that changed. `expected_revision` does not apply.
  virtual base::Result<std::vector<Edited>> edit_all(const EditAll& edit,
                                                     const EditOptions& options = {}) = 0;
  // Newest first.
  virtual base::Result<std::vector<AuditEntry>> audit(const AuditQuery& query = {}) = 0;
  // Adds an entry for something that changed nothing here; number, time and revision are the store's.
  virtual base::Status note(AuditEntry entry) = 0;

  // How the secrets are kept; and sealing all of them with the first key, which gives how they were kept before.
  virtual base::Result<SealReport> seals() = 0;
  virtual base::Result<SealReport> rotate_key(const Actor& actor);

  // Calls `wake`, on any thread, when changed_since() is worth asking before its time. Not every store does.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): those who do keep it
  virtual void on_change(std::function<void()> /*wake*/) {}

  // The tenant with its users, as a whole.
  base::Status put_tenant(const model::TenantSpec& tenant, IfExists if_exists = IfExists::kReplace);
  base::Status remove_tenant(std::string_view tenant_id, const EditOptions& options = {});
  base::Status put_user(std::string_view tenant_id, const model::UserSpec& user,
                        IfExists if_exists = IfExists::kReplace, const EditOptions& options = {});
  base::Status remove_user(std::string_view tenant_id, std::string_view name,
                           const EditOptions& options = {});
};

base::Error no_such_tenant(std::string_view tenant_id);
base::Error no_such_user(std::string_view tenant_id, std::string_view name);

}  // namespace penstock::catalog
