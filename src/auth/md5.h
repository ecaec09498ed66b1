// The md5 login of Postgres, both ways: "md5" + md5(md5(password + user) + salt).
//
// Source: PostgreSQL manual, "Message Flow", AuthenticationMD5Password.
//
// Home:       any thread (pure functions).
// Errors:     kFeatureNotSupported when OpenSSL refuses MD5 (FIPS), or when the secret is a SCRAM verifier.
#pragma once

#include <string>
#include <string_view>

#include "auth/secret.h"
#include "base/bytes.h"
#include "base/error.h"

namespace penstock::auth {

// The stored form: "md5" + 32 hex digits.
base::Result<std::string> md5_secret(std::string_view password, std::string_view user);

// What a client answers to a challenge with this `salt` (4 bytes). `secret` is plain or md5.
base::Result<std::string> md5_response(const Secret& secret, std::string_view user, base::ByteView salt);

// Whether `response` answers our challenge. False for wrong ones, kFeatureNotSupported as above.
base::Result<bool> md5_matches(const Secret& secret, std::string_view user, base::ByteView salt,
                               std::string_view response);

}  // namespace penstock::auth
