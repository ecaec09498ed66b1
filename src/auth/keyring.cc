#include "auth/keyring.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "auth/crypto.h"
#include "base/assert.h"

namespace penstock::auth {

namespace {

constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::string_view kSeparators = " \t\r\n\v\f,";

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> hex_decode(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

std::optional<Key> key_of(std::string_view word) {
  auto bytes = word.size() == 2 * Key::kSize ? hex_decode(word) : base64_decode(word);
  if (!bytes || bytes->size() != Key::kSize) return std::nullopt;
  Key key = Key::from(base::as_bytes(*bytes));
  wipe(bytes->data(), bytes->size());
  return key;
}

std::string id_of(const Key& key) {
  const Key digest = hmac_sha256(key.view(), {"penstock catalog key"});
  std::string id;
  for (std::size_t i = 0; i < 8; ++i) id += fmt::format("{:02x}", digest.data()[i]);
  return id;
}

// The words of `text` without comments.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line = line.substr(0, line.find('#'));
    while (!line.empty()) {
      const std::string_view word = line.substr(0, line.find_first_of(kSeparators));
      line.remove_prefix(std::min(word.size() + 1, line.size()));
      if (!word.empty()) words.push_back(word);
    }
  }
  return words;
}

}  // namespace

base::Result<Keyring> Keyring::parse(std::string_view text) {
  Keyring ring;
  for (const std::string_view word : words_of(text)) {
    const std::optional<Key> key = key_of(word);
    if (!key) {
      return base::fail(base::kConfigFileError,
                        fmt::format("catalog key number {} is not valid", ring.keys_.size() + 1),
                        fmt::format("It has {} characters. A key is 32 bytes: 64 hexadecimal digits, or 44 "
                                    "characters of base64.",
                                    word.size()),
                        "`penstock catalog new-key` makes one, and so does `openssl rand -base64 32`.");
    }
    if (ring.keys_.size() == kKeysMax) {
      return base::fail(base::kConfigFileError, fmt::format("there are more than {} catalog keys", kKeysMax));
    }
    std::string id = id_of(*key);
    if (!ring.has(id)) ring.keys_.push_back({.id = std::move(id), .key = *key});
  }
  return ring;
}

std::string Keyring::make_key(base::Random& random) {
  std::array<std::uint8_t, Key::kSize> bytes{};
  random.fill(bytes);
  std::string text = base64_encode(bytes);
  wipe(bytes.data(), bytes.size());
  return text;
}

std::vector<std::string> Keyring::ids() const {
  std::vector<std::string> ids;
  for (const Named& named : keys_) ids.push_back(named.id);
  return ids;
}

const Keyring::Named* Keyring::find(std::string_view id) const {
  const auto found = std::ranges::find(keys_, id, &Named::id);
  return found == keys_.end() ? nullptr : &*found;
}

SealedText Keyring::seal(std::string_view plain, std::string_view context, base::Random& random) const {
  std::array<std::uint8_t, kNonceBytes> nonce{};
  random.fill(nonce);
  std::string sealed(nonce.begin(), nonce.end());
  sealed.resize(kNonceBytes + plain.size() + kTagBytes);
  unsigned char* text = bytes_of(sealed) + kNonceBytes;
  const CipherContext cipher(EVP_CIPHER_CTX_new());
  int size = 0;
  int rest = 0;
  const bool done =
      cipher != nullptr &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, keys_.front().key.data(), nonce.data()) ==
          1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes_of(context), static_cast<int>(context.size())) ==
          1 &&
      EVP_EncryptUpdate(cipher.get(), text, &size, bytes_of(plain), static_cast<int>(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), text + size, &rest) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagBytes),
                          text + plain.size()) == 1;
  PENSTOCK_ASSERT(done);  // AES-256-GCM is in every OpenSSL, FIPS included
  return {.key = sealing_id(), .text = base64_encode(base::as_bytes(sealed))};
}

base::Result<std::string> Keyring::unseal(const SealedText& sealed, std::string_view context) const {
  const Named* named = find(sealed.key);
  if (named == nullptr) {
    return base::fail(
        base::kConfigFileError,
        empty() ? fmt::format("is sealed with key {}, but no catalog key is configured", sealed.key)
                : fmt::format("is sealed with key {}, which is not among the catalog keys", sealed.key),
        {},
        "Add that key to the file that the setting server.catalog_key_file names, or to "
        "PENSTOCK_CATALOG_KEY.");
  }
  const auto broken = [] {
    return base::fail(base::kConfigFileError,
                      "cannot be unsealed: it is damaged, or was sealed for another user or field");
  };
  const auto bytes = base64_decode(sealed.text);
  if (!bytes || bytes->size() < kNonceBytes + kTagBytes) return broken();
  const std::string_view nonce = std::string_view(*bytes).substr(0, kNonceBytes);
  const std::string_view text =
      std::string_view(*bytes).substr(kNonceBytes, bytes->size() - kNonceBytes - kTagBytes);
  std::string tag = bytes->substr(bytes->size() - kTagBytes);
  std::string plain(text.size(), '\0');
  const CipherContext cipher(EVP_CIPHER_CTX_new());
  int size = 0;
  int rest = 0;
  const bool done =
      cipher != nullptr &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, named->key.data(), bytes_of(nonce)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes_of(context), static_cast<int>(context.size())) ==
          1 &&
      EVP_DecryptUpdate(cipher.get(), bytes_of(plain), &size, bytes_of(text),
                        static_cast<int>(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagBytes), tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), bytes_of(plain) + size, &rest) == 1;
  if (done) return plain;
  wipe(plain.data(), plain.size());
  return broken();
}

}  // namespace penstock::auth
