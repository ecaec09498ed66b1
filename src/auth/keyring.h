// Keyring seals secrets with AES-256-GCM, so that whoever reads the store without the key learns nothing.
//
// The first key seals; all of them unseal, so that keys can be rotated: add the new key behind the old one on every
// node, put it first, seal everything again, take the old one away.
//
// A sealed text is the base64 of 12 random bytes (nonce), the ciphertext and a tag of 16 bytes. The `context` is
// authenticated with it: what was sealed for one place cannot be unsealed in another.
//
// Owner:      whoever reads and writes secrets, by value.
// Home:       any thread (immutable once made).
// Invariants: keys and texts are in no error message.
// Errors:     kConfigFileError.
// Bounds:     one key should seal fewer than 2^32 texts (random nonces of 96 bits, NIST SP 800-38D).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "auth/wiped.h"
#include "base/error.h"
#include "base/random.h"

namespace penstock::auth {

struct SealedText {
  std::string key = {};   // its id
  std::string text = {};  // base64
  friend bool operator==(const SealedText&, const SealedText&) = default;
};

class Keyring {
 public:
  static constexpr std::size_t kKeysMax = 32;

  Keyring() = default;
  // Keys of 32 bytes, each as 64 hexadecimal digits or 44 characters of base64, separated by white space or commas;
  // what stands behind a '#' is a comment.
  static base::Result<Keyring> parse(std::string_view text);
  // A new random key as text (base64).
  static std::string make_key(base::Random& random);

  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }
  bool has(std::string_view id) const { return find(id) != nullptr; }
  // The id of the key that seals: 16 hexadecimal digits, derived from the key. Not for an empty ring.
  const std::string& sealing_id() const { return keys_.front().id; }
  std::vector<std::string> ids() const;

  SealedText seal(std::string_view plain, std::string_view context, base::Random& random) const;
  base::Result<std::string> unseal(const SealedText& sealed, std::string_view context) const;

  friend bool operator==(const Keyring& a, const Keyring& b) { return a.ids() == b.ids(); }

 private:
  struct Named {
    std::string id;
    Key key;
  };
  const Named* find(std::string_view id) const;
  std::vector<Named> keys_;
};

}  // namespace penstock::auth
