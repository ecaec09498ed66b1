// Whether a signature of a token is good; for token.cc.
#pragma once

#include <string>
#include <string_view>

#include "auth/token.h"

namespace penstock::auth {

enum class Algorithm : std::uint8_t { kHs256, kHs384, kHs512, kRs256, kEs256 };

std::optional<Algorithm> algorithm_of(std::string_view name);
inline bool is_symmetric(Algorithm algorithm) {
  return algorithm <= Algorithm::kHs512;
}
std::string sign_hmac(Algorithm algorithm, std::string_view secret, std::string_view text);
// False as well when the key is of another kind than the algorithm needs.
bool verify_public(Algorithm algorithm, EVP_PKEY& key, std::string_view text, std::string_view signature);

}  // namespace penstock::auth
