// saslprep() brings a password into the form SCRAM hashes, so that "é" typed in two ways is one password.
//
// Source: RFC 4013, and what Postgres makes of it: plain ASCII stays as it is (control characters too), and a
// password that is not UTF-8 or contains what the profile forbids is used unprepared, byte for byte.
//
// Home:       any thread.
// Errors:     none, see above.
#pragma once

#include <string_view>

#include "auth/wiped.h"

namespace penstock::auth {

WipedText saslprep(std::string_view password);

}  // namespace penstock::auth
