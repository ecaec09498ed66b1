// The tables of the SQLite catalog, and the steps that lead there from older files.
//
//   tenants(id, record, revision, created_at, changed_at)        record: JSON, see record.h
//   users(tenant, name, record, created_at, changed_at)
//   routes(kind, name, tenant)                         what leads to one tenant only: SNI names and databases
//   catalog(version)                                   one row; larger after every change
//   audit(number, at, actor, origin, action, tenant, fields, revision)
//   migrations(version, name, applied_at)
//
// Invariants: 1. PRAGMA application_id is kApplicationId, PRAGMA user_version the number of steps taken.
//             2. A step is applied whole or not at all.
// Errors:     kConfigFileError: another program's file, or a newer Penstock's.
#pragma once

#include "base/error.h"
#include "catalog/sqlite.h"

namespace penstock::catalog {

inline constexpr std::int64_t kApplicationId = 0x50535443;  // "PSTC"

// How many steps this program knows.
std::int64_t newest_schema();

// Creates the tables in an empty file, takes the missing steps in an older one.
base::Status bring_up_to_date(SqliteDatabase& database, std::string_view path);

}  // namespace penstock::catalog
