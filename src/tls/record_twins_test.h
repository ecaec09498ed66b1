// RecordTwins: one handshake by OpenSSL whose server goes on twice, as OpenSSL's connection and as a RecordLayer. Whatever
// both are told and asked to write, they must come to the same.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/assert.h"
#include "tls/engine_pair_test.h"
#include "tls/handshake_secrets.h"

namespace penstock::tls::testing {

class RecordTwins {
 public:
  RecordTwins(const Contexts& contexts, const std::string& suite, const ClientContext& client)
      : pair(*server_context(contexts, suite), client) {
    HandshakeSecrets::allow(SSL_get_SSL_CTX(pair.server.engine->native_for_test()));
    secrets_ = std::make_unique<HandshakeSecrets>(pair.server.engine->native_for_test());
    pair.run();
    PENSTOCK_ASSERT(pair.server.open && pair.client.open);
    records_ = secrets_->record_layer();
    PENSTOCK_ASSERT(records_ != nullptr);
  }

  base::ByteView client_secret() const { return secrets_->client_secret(); }
  HandshakeSecrets& secrets() { return *secrets_; }
  bool alive() const { return alive_; }

  // Both are told `bytes`, `piece` at a time.
  void carry(base::ByteView bytes, std::size_t piece = SIZE_MAX) {
    for (std::size_t at = 0; at < bytes.size() && alive_; at += std::min(piece, bytes.size() - at)) {
      const base::ByteView part = bytes.subspan(at, std::min(piece, bytes.size() - at));
      take(part);
      pair.server.take(part);
      compare();
    }
  }
  // Both say `plain`.
  void answer(std::string_view plain) {
    records_->write(base::as_bytes(plain), ours_);
    PENSTOCK_ASSERT(pair.server.engine->write(base::as_bytes(plain)));
    compare();
    PENSTOCK_ASSERT(ours_.bytes == pair.server.outgoing);
    ours_.bytes.clear();
  }
  std::string take_received() {
    ours_.received.clear();
    return std::exchange(pair.server.received, {});
  }

  EnginePair pair;

 private:
  struct Ours final : EncryptedOutput {
    std::string bytes, received;
    bool closed = false, failed = false;
    void on_encrypted(base::ByteView more) override { bytes += base::as_text(more); }
  };

  static std::shared_ptr<const ServerContext> server_context(const Contexts& contexts,
                                                             const std::string& suite) {
    ServerOptions options = contexts.server_options();
    options.ciphers = suite;
    return contexts.server(options);
  }

  void take(base::ByteView input) {
    static std::uint8_t out[Engine::kReadRoom];
    while (!ours_.failed && !ours_.closed) {
      const auto read = records_->read(input, out, ours_);
      if (!read) {
        ours_.failed = true;
      } else if (read->kind == PlainRead::Kind::kData) {
        ours_.received += base::as_text({out, read->size});
      } else {
        ours_.closed = read->kind == PlainRead::Kind::kClosed;
        return;
      }
    }
  }

  void compare() {
    const End& theirs = pair.server;
    // OpenSSL counts these; here the stream bounds them, as bytes.
    const auto counted = {"too many warn alerts", "record too small"};
    for (const char* reason : counted) alive_ = alive_ && theirs.failure.find(reason) == std::string::npos;
    // RFC 8446, section 6, has the level of an alert ignored; a close_notify of a strange one OpenSSL takes for an error
    // that has no reason.
    if (ours_.closed && theirs.failure.find("unknown reason") != std::string::npos) alive_ = false;
    if (!alive_) return;
    PENSTOCK_ASSERT(ours_.received == theirs.received);
    PENSTOCK_ASSERT(ours_.closed == theirs.closed);
    PENSTOCK_ASSERT(ours_.failed == !theirs.failure.empty());
    alive_ = !ours_.closed && !ours_.failed;
  }

  std::unique_ptr<HandshakeSecrets> secrets_;
  std::unique_ptr<RecordLayer> records_;
  Ours ours_;
  bool alive_ = true;
};

}  // namespace penstock::tls::testing
