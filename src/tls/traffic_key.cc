#include "tls/traffic_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <span>
#include <string_view>

#include "base/assert.h"

namespace penstock::tls {

namespace {

const EVP_MD* hash_of(Suite suite) {
  return suite == Suite::kAes256Gcm ? EVP_sha384() : EVP_sha256();
}

std::size_t secret_bytes(Suite suite) {
  return suite == Suite::kAes256Gcm ? 48 : 32;
}

std::size_t key_bytes(Suite suite) {
  return suite == Suite::kAes128Gcm ? 16 : 32;
}

// HKDF-Expand-Label without a context. Nothing asked for is longer than the hash, so one block does.
void expand(Suite suite, base::ByteView secret, std::string_view label, std::span<std::uint8_t> out) {
  base::ByteWriter input;
  input.be16(static_cast<std::uint16_t>(out.size()));
  input.u8(static_cast<std::uint8_t>(6 + label.size()));
  input.raw(std::string_view("tls13 "));
  input.raw(label);
  input.u8(0);
  input.u8(1);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> block;
  unsigned block_bytes = 0;
  const auto* made = HMAC(hash_of(suite), secret.data(), static_cast<int>(secret.size()), input.view().data(),
                          input.view().size(), block.data(), &block_bytes);
  PENSTOCK_ASSERT(made != nullptr && block_bytes >= out.size());
  std::memcpy(out.data(), block.data(), out.size());
  OPENSSL_cleanse(block.data(), block.size());
}

}  // namespace

TrafficKey::TrafficKey(Suite suite, base::ByteView secret, std::uint64_t sequence)
    : sequence_(sequence), suite_(suite) {
  PENSTOCK_ASSERT(secret.size() == secret_bytes(suite));
  std::memcpy(secret_.data(), secret.data(), secret.size());
  derive();
}

TrafficKey::~TrafficKey() {
  OPENSSL_cleanse(secret_.data(), secret_.size());
  OPENSSL_cleanse(key_.data(), key_.size());
}

void TrafficKey::derive() {
  const base::ByteView secret(secret_.data(), secret_bytes(suite_));
  expand(suite_, secret, "key", std::span(key_).first(key_bytes(suite_)));
  expand(suite_, secret, "iv", iv_);
}

void TrafficKey::update() {
  const std::span<std::uint8_t> secret(secret_.data(), secret_bytes(suite_));
  expand(suite_, secret, "traffic upd", secret);
  derive();
  sequence_ = 0;
}

AeadNonce TrafficKey::nonce() const {
  AeadNonce nonce = iv_;
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[nonce.size() - 1 - i] ^= static_cast<std::uint8_t>(sequence_ >> (8 * i));
  }
  return nonce;
}

void TrafficKey::seal_next(base::ByteView header, base::ByteView plain, std::uint8_t type,
                           std::uint8_t* out) {
  seal({.suite = suite_, .key = key_, .nonce = nonce(), .header = header}, plain, type, out);
  ++sequence_;
}

bool TrafficKey::open_next(base::ByteView header, base::ByteView sealed, std::uint8_t* out) {
  if (!open({.suite = suite_, .key = key_, .nonce = nonce(), .header = header}, sealed, out)) return false;
  ++sequence_;
  return true;
}

}  // namespace penstock::tls
