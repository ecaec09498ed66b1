#include "auth/saslprep.h"

#include <stringprep.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace penstock::auth {

WipedText saslprep(std::string_view password) {
  const bool ascii = std::ranges::all_of(password, [](char c) { return static_cast<signed char>(c) > 0; });
  if (ascii) return WipedText(password);
  if (password.find('\0') != password.npos) return WipedText(password);

  std::string terminated(password);
  char* prepared = nullptr;
  // Unassigned code points are forbidden, as for stored strings: Postgres does so on both sides.
  const int status = stringprep_profile(terminated.c_str(), &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED);
  wipe(terminated.data(), terminated.size());
  if (status != STRINGPREP_OK) return WipedText(password);
  const std::string_view result(prepared);
  // Nothing left (only soft hyphens and the like): Postgres counts that as forbidden.
  WipedText text(result.empty() ? password : result);
  wipe(prepared, result.size());
  std::free(prepared);
  return text;
}

}  // namespace penstock::auth
