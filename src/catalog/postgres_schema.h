// The tables of the catalog in Postgres, in the schema "penstock", and the steps that lead there from older ones.
//
// The tables are those of sqlite_schema.h. Every change sends a notification on the channel kChannel.
//
// Invariants: steps are taken under an advisory lock, all of them in one transaction.
// Errors:     kConfigFileError (a newer Penstock's, or steps are missing and may not be taken), those of the database.
#pragma once

#include "base/error.h"
#include "catalog/postgres.h"

namespace penstock::catalog {

inline constexpr const char* kChannel = "penstock_catalog";

enum class Migrate : std::uint8_t { kYes, kNo };

// Takes the steps that are missing.
base::Status bring_up_to_date(PostgresConnection& connection, Migrate migrate);

}  // namespace penstock::catalog
