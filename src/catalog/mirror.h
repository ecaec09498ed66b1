// mirror() brings an SQLite catalog file up to what another catalog holds, with revisions and version.
//
// A server with that file can start while the other catalog is out of reach.
//
// Home:       the thread that owns `from`.
// Invariants: the copy is as one moment of the original, before and after a crash.
#pragma once

#include <string>

#include "base/error.h"
#include "catalog/audit.h"
#include "catalog/database.h"

namespace penstock::catalog {

base::Status mirror(Database& from, const std::string& sqlite_file);

// Makes `to` hold the tenants of `from`, which is a backup, in one transaction: a change like any other, with a version
// and revisions larger than before. The audit log of `to` goes on. Gives the number of tenants.
base::Result<std::size_t> restore_from(Database& from, Database& to, const Actor& actor);

}  // namespace penstock::catalog
