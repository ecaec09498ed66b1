// Secret is what a user must prove to know, in one of the three forms Postgres and PgBouncer store it.
//
// Source: PostgreSQL manual, pg_authid.rolpassword; src/backend/libpq/crypt.c (which text is taken for which
// form).
//
// Owner:      catalog values and logins, by value.
// Home:       any thread (plain values).
// Invariants: a text is never logged or shown; to_string() is for stores only.
// Errors:     none: a text that is neither md5 nor a verifier is a plain password, as in Postgres.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "auth/wiped.h"

namespace penstock::auth {

class ScramKeyCache;

// The default of Postgres (`scram_iterations`), used for verifiers we make ourselves.
inline constexpr int kScramIterations = 4096;

// What SCRAM-SHA-256 needs to check a client: proves nothing to anybody by itself.
struct ScramVerifier {
  int iterations = kScramIterations;
  std::string salt;  // raw bytes
  Key stored_key;
  Key server_key;

  // "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>"; nothing when `text` is not that.
  static std::optional<ScramVerifier> parse(std::string_view text);
  std::string to_string() const;
};

// `password` is prepared by SASLprep first. `salt`: raw bytes, 16 in Postgres.
ScramVerifier make_verifier(std::string_view password, std::string_view salt,
                            int iterations = kScramIterations);

class Secret {
 public:
  enum class Kind { kPlain, kMd5, kScram };

  static Secret parse(std::string_view text);

  Kind kind() const { return static_cast<Kind>(form_.index()); }
  // kPlain only.
  std::string_view plain() const { return std::get<0>(form_).view(); }
  // kMd5 only: the 32 hex digits of md5(password + user), without "md5".
  std::string_view md5() const { return std::get<1>(form_).digits.view(); }
  // kScram only.
  const ScramVerifier& verifier() const { return std::get<2>(form_); }

  std::string to_string() const;

 private:
  struct Md5 {
    WipedText digits;
  };
  using Form = std::variant<WipedText, Md5, ScramVerifier>;  // in the order of Kind
  explicit Secret(Form form) : form_(std::move(form)) {}

  Form form_;
};

// Whether a password sent in the clear (over TLS, hopefully) is the right one, whatever form the secret has.
// Comparing with a verifier costs a key derivation; `cache` makes that once per password.
bool password_matches(const Secret& secret, std::string_view user, std::string_view password,
                      ScramKeyCache& cache);

}  // namespace penstock::auth
