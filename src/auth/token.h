// Tokens: JSON Web Tokens that say who may do what at the API, signed by someone we trust.
//
// Home:       any thread (pure; the keys are SHARED, immutable).
// Invariants: 1. Nothing of a token is looked at for a decision before its signature has been verified.
//             2. The algorithm must fit the key: a public key is never taken for a secret, and there is no "none".
// Errors:     kInvalidAuthorization; the message says what is wrong with the token, never what it holds.
// Bounds:     kTokenBytesMax.
// See:        RFC 7515 (JWS), RFC 7518 (algorithms), RFC 7519 (claims), RFC 8725 (advice)
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

using EVP_PKEY = struct evp_pkey_st;

namespace penstock::auth {

inline constexpr std::size_t kTokenBytesMax = 8192;
inline constexpr std::size_t kTokenSecretBytesMin = 32;

enum class Scope : std::uint8_t { kNone, kMetrics, kRead, kWrite };  // write includes read

// What a token lets its holder do.
struct Grant {
  bool can_read = false;
  bool can_write = false;  // implies can_read
  bool can_see_metrics = false;
  std::vector<std::string> tenants = {};  // empty: all
  std::string subject = {};               // "sub", for the audit log
  std::string id = {};                    // "jti"
  bool allows(Scope scope) const;
  bool allows_tenant(std::string_view tenant) const;
};

// What tokens are verified with.
struct TokenRules {
  std::vector<std::string> secrets = {};
  std::vector<std::shared_ptr<EVP_PKEY>> public_keys = {};
  std::vector<std::string> metrics_secrets = {};  // tokens signed with these are for metrics only
  bool needs_expiry = true;
  std::vector<std::pair<std::string, std::string>> claims = {};
  std::set<std::string, std::less<>> denied = {};  // tokens and jti
  bool knows_nobody() const { return secrets.empty() && public_keys.empty() && metrics_secrets.empty(); }
};

// One or more public keys in PEM.
base::Result<std::vector<std::shared_ptr<EVP_PKEY>>> parse_public_keys(std::string_view pem);

using WallTime = std::chrono::system_clock::time_point;
base::Result<Grant> verify_token(const TokenRules& rules, std::string_view token, WallTime now);

struct TokenWish {
  std::string subject = {};
  std::string scope = "read write metrics";
  std::vector<std::string> tenants = {};
  std::string id = {};
  std::optional<WallTime> expires = {};
};
// Signed with HS256.
std::string make_token(std::string_view secret, const TokenWish& wish, WallTime now);

// The alphabet of RFC 4648 §5, without padding.
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace penstock::auth
