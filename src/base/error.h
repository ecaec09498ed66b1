// Error and Result<T>: every failure in Penstock is a value with a SQLSTATE and words a user can act on.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/sqlstate.h"

namespace penstock::base {

struct Error {
  SqlState sqlstate = kInternalError;
  std::string message = {};  // what happened, in which object; Postgres style: lower case, no full stop
  std::string detail = {};   // full sentences, optional
  std::string hint = {};     // what to do, full sentences, optional
  std::string where = {};    // file:line or peer it came from, optional; never shown to clients

  // One line for logs: "message (SQLSTATE) DETAIL: … HINT: … [where]".
  std::string to_string() const;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(SqlState sqlstate, std::string message, std::string detail = {},
                                   std::string hint = {}) {
  return std::unexpected(Error{.sqlstate = sqlstate,
                               .message = std::move(message),
                               .detail = std::move(detail),
                               .hint = std::move(hint)});
}
inline std::unexpected<Error> fail(Error error) {
  return std::unexpected(std::move(error));
}

// errno as an Error: "<action>: <strerror>".
Error errno_error(SqlState sqlstate, std::string_view action, int errno_value);

}  // namespace penstock::base
