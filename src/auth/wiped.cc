#include "auth/wiped.h"

#include <openssl/crypto.h>

#include <cstring>

#include "base/assert.h"

namespace penstock::auth {

void wipe(void* memory, std::size_t size) {
  OPENSSL_cleanse(memory, size);
}

WipedText::WipedText(std::string_view text) : size_(text.size()) {
  if (text.empty()) return;
  bytes_ = std::make_unique_for_overwrite<char[]>(text.size());
  std::memcpy(bytes_.get(), text.data(), text.size());
}

Key Key::from(base::ByteView bytes) {
  PENSTOCK_ASSERT(bytes.size() == kSize);
  Key key;
  std::memcpy(key.data(), bytes.data(), kSize);
  return key;
}

bool operator==(const Key& a, const Key& b) {
  return CRYPTO_memcmp(a.data(), b.data(), Key::kSize) == 0;
}

}  // namespace penstock::auth
