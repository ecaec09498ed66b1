// How much a tenant may hold, over what its fields check value by value.
//
// Without it, a tenant could be stored that is too large to be read again, and nobody could read the catalog any more.
//
// Home:       any thread (pure functions).
// Invariants: what passes is stored as records of at most half of kRecordBytesMax, sealed ones a third longer.
#pragma once

#include <cstddef>
#include <vector>

#include "catalog/record.h"
#include "catalog/validate.h"

namespace penstock::catalog {

inline constexpr std::size_t kStoredBytesMax = kRecordBytesMax / 2;
inline constexpr std::size_t kListEntriesMax = 1000;
inline constexpr std::size_t kMapEntriesMax = 100;
inline constexpr std::size_t kEntryBytesMax = 4096;  // of one in a list or map

// The tenant and its users. `path` is that of the tenant.
std::vector<Problem> beyond_bounds(const model::TenantSpec& tenant, const std::string& path);

}  // namespace penstock::catalog
