// QueryForm: what queries that differ in their constants only have in common, so that logs and lists can tell of a query
// and not of the values in it.
//
// PostgreSQL's own parser (libpg_query) decides what a constant is; what it leaves in place, as in SET or NOTIFY, and
// comments, which applications fill with values, its scanner finds. Both read strings as if standard_conforming_strings
// were on; where a session that has switched it off would read on, the text ends.
//
// Home:   any thread; needs as much stack as the query is deep: hundreds of bytes for each byte of it (kQueryFormStack).
// Errors: none: what cannot be parsed has no fingerprint, and what cannot even be scanned has no text.
// See:    https://github.com/pganalyze/libpg_query
#pragma once

#include <cstddef>
#include <string>

namespace penstock::sql {

inline constexpr std::size_t kQueryBytesMax = 64 * 1024;
// For the longest query that is nested as deeply as it can be.
inline constexpr std::size_t kQueryFormStack = std::size_t{256} << 20;

struct QueryForm {
  std::string text = {};         // constants are $1, $2, … or ?
  std::string fingerprint = {};  // 16 hexadecimal digits, as pg_query makes them
  friend bool operator==(const QueryForm&, const QueryForm&) = default;
};

// At most kQueryBytesMax are looked at; of a longer query there is no fingerprint.
QueryForm form_of(const std::string& query);

}  // namespace penstock::sql
