// mirror() brings an SQLite catalog file up to what another catalog holds, with revisions and version.
//
// A server with that file can start while the other catalog is out of reach.
//
// Home:       the thread that owns `from`.
// Invariants: the copy is as one moment of the original, before and after a crash.
#pragma once

#include <string>

#include "base/error.h"
#include "catalog/database.h"

namespace penstock::catalog {

base::Status mirror(Database& from, const std::string& sqlite_file);

}  // namespace penstock::catalog
