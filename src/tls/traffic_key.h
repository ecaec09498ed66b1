// TrafficKey protects one direction of an open TLS 1.3 connection.
//
// Owner:  RecordLayer, by value.
// Home:   any thread (a value).
// Source: RFC 8446, sections 5.3 (nonces), 7.1 to 7.3 (derivation).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "tls/aead.h"

namespace penstock::tls {

constexpr std::size_t kTrafficSecretBytesMax = 48;  // as long as the suite's hash: 32, with kAes256Gcm 48

class TrafficKey {
 public:
  // `secret`: application_traffic_secret_N; `sequence`: records that have gone under it so far.
  TrafficKey(Suite suite, base::ByteView secret, std::uint64_t sequence);
  TrafficKey(const TrafficKey&) = delete;
  TrafficKey& operator=(const TrafficKey&) = delete;
  ~TrafficKey();

  Suite suite() const { return suite_; }
  std::uint64_t sequence() const { return sequence_; }
  // application_traffic_secret_N+1, from its first record on.
  void update();

  // One record: the next. An opened one counts only when it is the peer's.
  void seal_next(base::ByteView header, base::ByteView plain, std::uint8_t type, std::uint8_t* out);
  bool open_next(base::ByteView header, base::ByteView sealed, std::uint8_t* out);

 private:
  void derive();
  AeadNonce nonce() const;

  std::uint64_t sequence_;
  std::array<std::uint8_t, kTrafficSecretBytesMax> secret_ = {};
  AeadKey key_ = {};
  AeadNonce iv_ = {};
  Suite suite_;
};

}  // namespace penstock::tls
