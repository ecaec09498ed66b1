// Authenticated encryption of single TLS 1.3 records, under keys that change from one call to the next.
//
// OpenSSL's ciphers do the work, in one context per thread, suite and direction: a connection brings its key and
// owns no context.
//
// Home:   any thread (each has its own contexts).
// Source: RFC 8446, section 5.2; RFC 8446, appendix B.4 for the suites.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace penstock::tls {

enum class Suite : std::uint8_t { kAes128Gcm, kAes256Gcm, kChacha20 };

constexpr std::size_t kAeadTagBytes = 16;
constexpr std::size_t kAeadKeyBytesMax = 32;  // kAes128Gcm uses the first 16
using AeadKey = std::array<std::uint8_t, kAeadKeyBytesMax>;
using AeadNonce = std::array<std::uint8_t, 12>;

struct AeadRecord {
  Suite suite;
  const AeadKey& key;
  const AeadNonce& nonce;
  base::ByteView header;  // authenticated, not encrypted
};

// Writes `plain`, `type` and the tag to `out`, which has room for plain.size() + 1 + kAeadTagBytes.
void seal(const AeadRecord& record, base::ByteView plain, std::uint8_t type, std::uint8_t* out);
// Writes what `sealed` holds, without its tag, to `out`. False: it is not what the peer has sealed.
bool open(const AeadRecord& record, base::ByteView sealed, std::uint8_t* out);

}  // namespace penstock::tls
