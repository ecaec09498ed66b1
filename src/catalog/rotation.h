// What becomes of a user's old secret when there is a new one.
//
// Without a word about it the old one goes, and with it one that is older still: whoever changes a password means it.
//
// Home:   any thread (pure functions).
// Errors: kInvalidParameterValue: there is no old secret to keep.
#pragma once

#include <chrono>
#include <optional>

#include "base/error.h"
#include "model/tenant.h"

namespace penstock::catalog {

// For how long the old secret stays valid beside the new one; 0: until previous_secret is unset.
using KeepPrevious = std::optional<std::chrono::milliseconds>;

// Settles previous_secret, previous_secret_until and previous_upstream_secret of `after`, unless they were changed by
// themselves.
base::Status settle_previous(const model::UserSpec& before, model::UserSpec& after, KeepPrevious keep,
                             model::WallTime now);

}  // namespace penstock::catalog
