#include "base/error.h"

#include <cstring>

namespace penstock::base {

std::string Error::to_string() const {
  std::string text = message + " (" + sqlstate.str() + ")";
  if (!detail.empty()) text += " DETAIL: " + detail;
  if (!hint.empty()) text += " HINT: " + hint;
  if (!where.empty()) text += " [" + where + "]";
  return text;
}

Error errno_error(SqlState sqlstate, std::string_view action, int errno_value) {
  char buffer[128];
  const char* text = strerror_r(errno_value, buffer, sizeof(buffer));
  return Error{.sqlstate = sqlstate, .message = std::string(action) + ": " + text};
}

}  // namespace penstock::base
