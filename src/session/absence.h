// Whether no server was there, as opposed to one that has refused. Home: any thread (pure).
#pragma once

#include "base/error.h"

namespace penstock::session {

inline bool is_absence(const base::Error& error) {
  const std::string_view category = error.sqlstate.category();
  return category == "08" || category == "53" || category == "57";
}

}  // namespace penstock::session
