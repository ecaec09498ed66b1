#include "tls/handshake_secrets.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include <charconv>
#include <optional>

namespace penstock::tls {

namespace {

std::optional<Suite> suite_of(const SSL* ssl) {
  switch (SSL_CIPHER_get_id(SSL_get_current_cipher(ssl))) {
    case TLS1_3_CK_AES_128_GCM_SHA256:
      return Suite::kAes128Gcm;
    case TLS1_3_CK_AES_256_GCM_SHA384:
      return Suite::kAes256Gcm;
    case TLS1_3_CK_CHACHA20_POLY1305_SHA256:
      return Suite::kChacha20;
    default:
      return std::nullopt;
  }
}

}  // namespace

void HandshakeSecrets::allow(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, on_key);
}

HandshakeSecrets::HandshakeSecrets(SSL* ssl) : ssl_(ssl) {
  SSL_set_app_data(ssl, this);
  SSL_set_msg_callback(ssl, on_message);
  SSL_set_msg_callback_arg(ssl, this);
}

HandshakeSecrets::~HandshakeSecrets() {
  SSL_set_app_data(ssl_, nullptr);
  SSL_set_msg_callback(ssl_, nullptr);
  OPENSSL_cleanse(clients_.bytes.data(), clients_.bytes.size());
  OPENSSL_cleanse(servers_.bytes.data(), servers_.bytes.size());
}

void HandshakeSecrets::on_key(const SSL* ssl, const char* line) {
  auto* self = static_cast<HandshakeSecrets*>(SSL_get_app_data(ssl));
  if (self != nullptr) self->learn(line);
}

void HandshakeSecrets::on_message(int is_written, int, int kind, const void*, std::size_t, SSL*, void* self) {
  if (is_written == 1 && kind == SSL3_RT_HEADER) ++static_cast<HandshakeSecrets*>(self)->records_written_;
}

// "CLIENT_TRAFFIC_SECRET_0 <the client's random number> <secret>", in hexadecimal.
void HandshakeSecrets::learn(std::string_view line) {
  Secret* secret = nullptr;
  if (line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) secret = &clients_;
  if (line.starts_with("SERVER_TRAFFIC_SECRET_0 ")) secret = &servers_;
  if (secret == nullptr) return;
  if (secret == &servers_) records_written_ = 0;
  const std::string_view digits = line.substr(line.rfind(' ') + 1);
  if (digits.size() % 2 != 0 || digits.size() / 2 > secret->bytes.size()) return;
  for (std::size_t i = 0; i < digits.size() / 2; ++i) {
    const char* pair = digits.data() + 2 * i;
    if (std::from_chars(pair, pair + 2, secret->bytes[i], 16).ptr != pair + 2) return;
  }
  secret->size = digits.size() / 2;
}

std::unique_ptr<RecordLayer> HandshakeSecrets::record_layer(std::uint64_t records_per_key) const {
  if (SSL_version(ssl_) != TLS1_3_VERSION || clients_.size == 0 || servers_.size == 0) return nullptr;
  if (SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl_)) != TLSEXT_max_fragment_length_DISABLED) {
    return nullptr;
  }
  const auto suite = suite_of(ssl_);
  if (!suite) return nullptr;
  const RecordLayer::Start start{.suite = *suite,
                                 .read_secret = clients_.view(),
                                 .write_secret = servers_.view(),
                                 .records_written = records_written_};
  return std::make_unique<RecordLayer>(start, records_per_key);
}

}  // namespace penstock::tls
