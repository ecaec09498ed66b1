// Tenants and users as rows of the SQLite catalog. The caller holds the transaction.
//
// Home:       one thread (pure functions on a database).
// Errors:     those of SQLite; kConfigFileError with the path of a record that cannot be read.
// See:        sqlite_schema.h
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/sqlite.h"
#include "model/catalog_snapshot.h"

namespace penstock::catalog {

// By id; the users of each by name.
base::Result<std::vector<model::TenantPtr>> read_tenants(SqliteDatabase& database);
base::Result<std::optional<model::TenantSpec>> read_tenant(SqliteDatabase& database, std::string_view id);

// kInvalidParameterValue when a name of `tenant` leads to another one already.
base::Status check_routes(SqliteDatabase& database, const model::TenantSpec& tenant);

// Writes what differs, with routes, and raises the catalog's version. At least one of the two is there.
base::Status write_difference(SqliteDatabase& database, const std::optional<model::TenantSpec>& before,
                              const std::optional<model::TenantSpec>& after);

}  // namespace penstock::catalog
