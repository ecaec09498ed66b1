#include "scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <charconv>

namespace penstock::bench {

namespace {

std::string_view view(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest hmac(std::string_view key, std::string_view text) {
  Digest out;
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), out.data(), &size);
  return out;
}

Digest sha256(std::string_view bytes) {
  Digest out;
  SHA256(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), out.data());
  return out;
}

Digest operator^(Digest left, const Digest& right) {
  for (std::size_t i = 0; i < left.size(); ++i) left[i] ^= right[i];
  return left;
}

// The value of attribute `name` in "a=…,b=…"; empty when it is not there.
std::string_view attribute(std::string_view message, char name) {
  while (!message.empty()) {
    const std::string_view field = message.substr(0, message.find(','));
    if (field.size() >= 2 && field[0] == name && field[1] == '=') return field.substr(2);
    message.remove_prefix(std::min(message.size(), field.size() + 1));
  }
  return {};
}

std::string md5_hex(std::string_view text) {
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_md5(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace

ScramKeys derive_keys(std::string_view password, std::string_view salt, int iterations) {
  Digest salted;
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                    reinterpret_cast<const std::uint8_t*>(salt.data()), static_cast<int>(salt.size()),
                    iterations, EVP_sha256(), static_cast<int>(salted.size()), salted.data());
  ScramKeys keys;
  keys.client_key = hmac(view(salted), "Client Key");
  keys.stored_key = sha256(view(keys.client_key));
  keys.server_key = hmac(view(salted), "Server Key");
  return keys;
}

const ScramKeys& ScramKeyCache::keys_for(const std::string& salt, int iterations) {
  const auto [at, fresh] = keys_.try_emplace({salt, iterations});
  if (fresh) at->second = derive_keys(password_, salt, iterations);
  return at->second;
}

std::string ScramClient::first(std::string_view nonce) {
  nonce_ = nonce;
  first_bare_ = "n=,r=" + nonce_;
  return "n,," + first_bare_;
}

std::optional<std::string> ScramClient::final(std::string_view server_first, ScramKeyCache& cache) {
  const std::string_view nonce = attribute(server_first, 'r');
  const auto salt = from_base64(attribute(server_first, 's'));
  const std::string_view rounds = attribute(server_first, 'i');
  int iterations = 0;
  std::from_chars(rounds.data(), rounds.data() + rounds.size(), iterations);
  if (!nonce.starts_with(nonce_) || !salt || iterations < 1) return std::nullopt;

  const ScramKeys& keys = cache.keys_for(*salt, iterations);
  std::string message = "c=biws,r=" + std::string(nonce);
  const std::string auth = first_bare_ + "," + std::string(server_first) + "," + message;
  const Digest proof = keys.client_key ^ hmac(view(keys.stored_key), auth);
  server_signature_ = hmac(view(keys.server_key), auth);
  return message + ",p=" + base64(view(proof));
}

bool ScramClient::server_is_genuine(std::string_view server_final) const {
  return attribute(server_final, 'v') == base64(view(server_signature_));
}

std::optional<std::string> ScramServer::first(std::string_view client_first, std::string_view nonce,
                                              std::string_view salt, int iterations) {
  const std::size_t bare = client_first.find(",,");
  if (bare == std::string_view::npos) return std::nullopt;
  client_first_bare_ = client_first.substr(bare + 2);
  nonce_ = std::string(attribute(client_first_bare_, 'r')) + std::string(nonce);
  server_first_ = "r=" + nonce_ + ",s=" + base64(salt) + ",i=" + std::to_string(iterations);
  return server_first_;
}

std::optional<std::string> ScramServer::final(std::string_view client_final, const ScramKeys& keys) {
  const std::size_t proof_at = client_final.rfind(",p=");
  if (proof_at == std::string_view::npos || attribute(client_final, 'r') != nonce_) return std::nullopt;
  const auto proof = from_base64(client_final.substr(proof_at + 3));
  if (!proof || proof->size() != std::tuple_size_v<Digest>) return std::nullopt;

  const std::string auth =
      client_first_bare_ + "," + server_first_ + "," + std::string(client_final.substr(0, proof_at));
  Digest given;
  std::copy(proof->begin(), proof->end(), given.begin());
  const Digest client_key = given ^ hmac(view(keys.stored_key), auth);
  if (sha256(view(client_key)) != keys.stored_key) return std::nullopt;
  return "v=" + base64(view(hmac(view(keys.server_key), auth)));
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<std::uint8_t*>(text.data()),
                      reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<std::uint8_t*>(bytes.data()),
                      reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const auto padding = static_cast<std::size_t>(text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0);
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt) {
  const std::string inner = md5_hex(std::string(password) + std::string(user));
  return "md5" + md5_hex(inner + std::string(salt));
}

}  // namespace penstock::bench
