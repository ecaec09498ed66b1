// The parts of docs/manual/tenants.md that come from the field tables.
#pragma once

#include <string>

namespace penstock::catalog {

// Two tables, with headings: the fields of a tenant, the fields of a user.
std::string fields_for_manual();

// `page` with everything between the two markers below replaced by fields_for_manual().
std::string with_fields(const std::string& page);

inline constexpr const char* kFieldsBegin =
    "<!-- Fields, from the tables in src/catalog; a test compares. -->\n";
inline constexpr const char* kFieldsEnd = "<!-- End of the fields. -->\n";

}  // namespace penstock::catalog
