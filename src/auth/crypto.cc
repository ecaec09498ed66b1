// SHA256_Transform is deprecated since OpenSSL 3.0 without a successor that runs one compression at a time;
// through the EVP calls the same derivation costs three times as much (see pbkdf2_sha256). They, and SHA256(), which
// goes through them, look the algorithm up by name in each call.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "auth/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <cstring>

#include "base/assert.h"

namespace penstock::auth {

namespace {

constexpr std::size_t kBlock = 64;  // bytes SHA-256 takes at a time

void update(SHA256_CTX& hash, std::string_view piece) {
  SHA256_Update(&hash, piece.data(), piece.size());
}

void digest_of(base::ByteView bytes, std::uint8_t* digest) {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  SHA256_Update(&hash, bytes.data(), bytes.size());
  SHA256_Final(digest, &hash);
  wipe(&hash, sizeof(hash));
}

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 64;
constexpr auto kBase64Values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i)
    values[static_cast<std::uint8_t>(kBase64Digits[i])] = static_cast<std::uint8_t>(i);
  return values;
}();

// HMAC-SHA-256 with the two key blocks hashed beforehand.
class Hmac {
 public:
  explicit Hmac(base::ByteView key) {
    std::array<std::uint8_t, kBlock> pad{};
    if (key.size() > kBlock) {
      digest_of(key, pad.data());
    } else if (!key.empty()) {
      std::memcpy(pad.data(), key.data(), key.size());
    }
    for (auto& byte : pad) byte ^= 0x36;
    SHA256_Init(&inner_);
    SHA256_Update(&inner_, pad.data(), pad.size());
    for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
    SHA256_Init(&outer_);
    SHA256_Update(&outer_, pad.data(), pad.size());
    wipe(pad.data(), pad.size());
  }
  ~Hmac() {
    wipe(&inner_, sizeof(inner_));
    wipe(&outer_, sizeof(outer_));
  }

  Key of(std::initializer_list<std::string_view> pieces) const {
    Key digest;
    SHA256_CTX hash = inner_;
    for (std::string_view piece : pieces) update(hash, piece);
    SHA256_Final(digest.data(), &hash);
    hash = outer_;
    SHA256_Update(&hash, digest.data(), Key::kSize);
    SHA256_Final(digest.data(), &hash);
    return digest;
  }

  // state = HMAC(state), `times` times; `state` is a digest as eight words, its form inside SHA-256. XORs
  // each step into `sum`.
  void iterate(std::array<std::uint32_t, 8>& state, std::array<std::uint32_t, 8>& sum, int times) const {
    // A digest is shorter than a block, so each half is one compression of: digest, 0x80, zeros, length in
    // bits.
    std::array<std::uint8_t, kBlock> block{};
    block[Key::kSize] = 0x80;
    base::store_be32(&block[kBlock - 4], (kBlock + Key::kSize) * 8);
    SHA256_CTX hash = inner_;
    for (int i = 0; i < times; ++i) {
      compress(hash, inner_, block, state);
      compress(hash, outer_, block, state);
      for (std::size_t word = 0; word < 8; ++word) sum[word] ^= state[word];
    }
    wipe(block.data(), block.size());
    wipe(&hash, sizeof(hash));
  }

 private:
  static void compress(SHA256_CTX& hash, const SHA256_CTX& start, std::array<std::uint8_t, kBlock>& block,
                       std::array<std::uint32_t, 8>& state) {
    for (std::size_t word = 0; word < 8; ++word) base::store_be32(&block[word * 4], state[word]);
    std::memcpy(hash.h, start.h, sizeof(hash.h));
    SHA256_Transform(&hash, block.data());
    std::memcpy(state.data(), hash.h, sizeof(hash.h));
  }

  SHA256_CTX inner_;
  SHA256_CTX outer_;
};

}  // namespace

Key sha256(base::ByteView bytes) {
  Key digest;
  digest_of(bytes, digest.data());
  return digest;
}

Key hmac_sha256(base::ByteView key, std::initializer_list<std::string_view> pieces) {
  return Hmac(key).of(pieces);
}

Key pbkdf2_sha256(std::string_view password, base::ByteView salt, int iterations) {
  PENSTOCK_ASSERT(iterations >= 1);
  const Hmac hmac(base::as_bytes(password));
  Key digest = hmac.of({base::as_text(salt), std::string_view("\0\0\0\1", 4)});
  std::array<std::uint32_t, 8> state;
  for (std::size_t word = 0; word < 8; ++word) state[word] = base::load_be32(digest.data() + word * 4);
  std::array<std::uint32_t, 8> sum = state;
  hmac.iterate(state, sum, iterations - 1);
  for (std::size_t word = 0; word < 8; ++word) base::store_be32(digest.data() + word * 4, sum[word]);
  wipe(state.data(), sizeof(state));
  wipe(sum.data(), sizeof(sum));
  return digest;
}

base::Result<std::string> md5_hex(std::string_view first, std::string_view second) {
  std::array<std::uint8_t, 16> digest;
  EVP_MD_CTX* hash = EVP_MD_CTX_new();
  const bool done = hash != nullptr && EVP_DigestInit_ex(hash, EVP_md5(), nullptr) == 1 &&
                    EVP_DigestUpdate(hash, first.data(), first.size()) == 1 &&
                    EVP_DigestUpdate(hash, second.data(), second.size()) == 1 &&
                    EVP_DigestFinal_ex(hash, digest.data(), nullptr) == 1;
  EVP_MD_CTX_free(hash);
  if (!done) {
    return base::fail(base::kFeatureNotSupported, "could not compute MD5 hash", "OpenSSL refuses MD5.",
                      "Use SCRAM secrets, or an OpenSSL that is not in FIPS mode.");
  }
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (std::uint8_t byte : digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string base64_encode(base::ByteView bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock adds a zero byte
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;  // the lowest `count` of them are not yet in `bytes`
  int count = 0;
  for (const char digit : text.substr(0, text.size() - padding)) {
    const std::uint8_t value = kBase64Values[static_cast<std::uint8_t>(digit)];
    if (value == kNoDigit) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  const std::uint32_t unused = bits & ((1U << count) - 1);
  if (unused != 0) return std::nullopt;  // another text means the same bytes
  return bytes;
}

}  // namespace penstock::auth
