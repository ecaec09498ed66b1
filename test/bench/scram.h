// SCRAM-SHA-256 for both ends of a benchmark, with the slow step (4096 rounds of HMAC) done once per password
// and salt.
//
// Written apart from src/auth on purpose: a login that both sides take from one implementation proves
// nothing.
//
// Source: RFC 5802, RFC 7677; PostgreSQL manual, "SASL Authentication".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::bench {

using Digest = std::array<std::uint8_t, 32>;

struct ScramKeys {
  Digest client_key;
  Digest stored_key;
  Digest server_key;
};
ScramKeys derive_keys(std::string_view password, std::string_view salt, int iterations);

// Keys already derived, by salt and iterations. One per thread.
class ScramKeyCache {
 public:
  explicit ScramKeyCache(std::string password) : password_(std::move(password)) {}
  const ScramKeys& keys_for(const std::string& salt, int iterations);

 private:
  std::string password_;
  std::map<std::pair<std::string, int>, ScramKeys> keys_;
};

class ScramClient {
 public:
  // client-first-message; `nonce` in printable characters without a comma.
  std::string first(std::string_view nonce);
  // client-final-message for the server's first one; nothing when that makes no sense.
  std::optional<std::string> final(std::string_view server_first, ScramKeyCache& cache);
  bool server_is_genuine(std::string_view server_final) const;

 private:
  std::string first_bare_;
  std::string nonce_;
  Digest server_signature_{};
};

class ScramServer {
 public:
  std::optional<std::string> first(std::string_view client_first, std::string_view nonce,
                                   std::string_view salt, int iterations);
  // server-final-message, or nothing when the proof is wrong.
  std::optional<std::string> final(std::string_view client_final, const ScramKeys& keys);

 private:
  std::string client_first_bare_;
  std::string server_first_;
  std::string nonce_;
};

std::string base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);
// "md5" + md5(md5(password + user) + salt), in hex.
std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt);

}  // namespace penstock::bench
