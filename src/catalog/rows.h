// Tenants, users and the audit log as rows, in SQL that SQLite and Postgres both understand. The caller holds the
// transaction.
//
// Home:       one thread (functions on a database).
// Errors:     those of the database; kConfigFileError with the path of a record that cannot be read.
// See:        sqlite_schema.h
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/keyring.h"
#include "base/error.h"
#include "base/random.h"
#include "catalog/audit.h"
#include "catalog/database.h"
#include "catalog/store.h"
#include "model/catalog_snapshot.h"

namespace penstock::catalog {

// What the functions below work with.
struct Table {
  Database& database;
  const auth::Keyring& keys;  // empty: secrets are stored as they are
  base::Random& random;
};

struct StoredTenant {
  model::TenantSpec spec;
  model::TenantRevision revision;
};

base::Result<std::uint64_t> read_version(Database& database);
// See CatalogSnapshot.
base::Result<std::string> read_login_secret(Database& database);
// All tenants; those that `known` has in the same revision come from there.
base::Result<model::SnapshotPtr> read_snapshot(const Table& table, const std::string& default_tenant,
                                               const model::SnapshotPtr& known);
base::Result<std::optional<StoredTenant>> read_tenant(const Table& table, std::string_view id);
// Only its id and revision, whatever its records hold.
base::Result<std::optional<StoredTenant>> read_outline(Database& database, std::string_view id);

// kInvalidParameterValue when a name of `tenant` leads to another one already.
base::Status check_routes(Database& database, const model::TenantSpec& tenant);

// The version that changes of this transaction will have.
base::Result<std::uint64_t> raise_version(Database& database);
// Writes what differs, with routes. At least one of the two is there.
base::Status write_difference(const Table& table, const std::optional<model::TenantSpec>& before,
                              const std::optional<model::TenantSpec>& after,
                              const model::TenantRevision& revision);
// Removes the routes of a tenant, so that names can move between tenants that change together.
base::Status clear_routes(Database& database, std::string_view tenant_id);

// Also forgets what is older than kAuditEntriesMax entries.
base::Status write_audit(Database& database, const AuditEntry& entry);
base::Result<std::vector<AuditEntry>> read_audit(Database& database, const AuditQuery& query);

base::Result<SealReport> report_seals(const Table& table);
// Seals everything that is not sealed with the sealing key. Gives what was there before. The tenants touched get the
// revision `version`, so that other nodes and copies notice.
base::Result<SealReport> reseal(const Table& table, std::uint64_t version);

}  // namespace penstock::catalog
