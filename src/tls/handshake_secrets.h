// HandshakeSecrets learns from OpenSSL, during a handshake, what a RecordLayer needs to go on after it.
//
// OpenSSL tells secrets to a log of keys (made for those who debug networks) and shows each record that it writes: how
// many went under the last secret is the number of the next one. It has read none under its own when the handshake is
// over.
//
// Owner:      Engine, while it accepts.
// Home:       LOOP; may be handed to another thread as a whole.
// Invariants: the connection knows of it for as long as it lives.
// See:        SSL_CTX_set_keylog_callback(3), SSL_set_msg_callback(3); RFC 8446, section 7.1.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "tls/context.h"
#include "tls/record_layer.h"

namespace penstock::tls {

class HandshakeSecrets {
 public:
  // For all connections of `context`.
  static void allow(SSL_CTX* context);

  explicit HandshakeSecrets(SSL* ssl);
  HandshakeSecrets(const HandshakeSecrets&) = delete;
  HandshakeSecrets& operator=(const HandshakeSecrets&) = delete;
  ~HandshakeSecrets();

  // After the handshake. Null where OpenSSL must go on: older protocols, other suites, records of a size agreed upon.
  std::unique_ptr<RecordLayer> record_layer(
      std::uint64_t records_per_key = RecordLayer::kRecordsPerKey) const;

  base::ByteView client_secret() const { return clients_.view(); }

 private:
  struct Secret {
    std::array<std::uint8_t, kTrafficSecretBytesMax> bytes;
    std::size_t size = 0;
    base::ByteView view() const { return {bytes.data(), size}; }
  };

  void learn(std::string_view line);
  static void on_key(const SSL* ssl, const char* line);
  static void on_message(int is_written, int version, int kind, const void* bytes, std::size_t size, SSL* ssl,
                         void* self);

  SSL* ssl_;
  Secret clients_, servers_;
  std::uint64_t records_written_ = 0;  // under servers_
};

}  // namespace penstock::tls
