// Two Engines that talk to each other in memory, with the wire in the hands of the test.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tls/certificates_test.h"
#include "tls/engine.h"

namespace penstock::tls::testing {

// One end: what it has to say, whether its handshake is over, and how it failed.
struct End final : Engine::Output {
  std::unique_ptr<Engine> engine;
  std::string outgoing;
  std::string received;
  std::string failure;
  bool open = false;
  bool closed = false;

  void use(base::Result<std::unique_ptr<Engine>> made) {
    if (!made) {
      failure = made.error().to_string();
      return;
    }
    engine = std::move(*made);
    engine->set_output(this);
  }
  void on_encrypted(base::ByteView bytes) override { outgoing += base::as_text(bytes); }

  void take(base::ByteView input) {
    if (!failure.empty()) return;
    if (!open) {
      const auto progress = engine->handshake(input);
      if (!progress) failure = progress.error().to_string();
      open = progress && *progress == Engine::Progress::kDone;
    }
    while (open && failure.empty() && !closed) {
      std::uint8_t out[Engine::kReadRoom];
      const auto read = engine->read(input, out);
      if (!read) {
        failure = read.error().to_string();
      } else if (read->kind == Engine::Read::Kind::kData) {
        received.append(reinterpret_cast<const char*>(out), read->size);
      } else {
        closed = read->kind == Engine::Read::Kind::kClosed;
        break;
      }
    }
  }
};

struct EnginePair {
  End server, client;

  EnginePair(const ServerContext& server_context, const ClientContext& client_context,
             const std::string& host = "localhost") {
    server.use(Engine::accepting(server_context));
    client.use(Engine::connecting(client_context, host));
  }
  // Carries bytes both ways, `piece` at a time, until nobody has anything left to say.
  void run(std::size_t piece = SIZE_MAX) {
    if (client.engine != nullptr && !client.open) client.take({});
    while (!server.outgoing.empty() || !client.outgoing.empty()) {
      carry(client, server, piece);
      carry(server, client, piece);
    }
  }
  static void carry(End& from, End& to, std::size_t piece) {
    const std::string bytes = std::move(from.outgoing);
    from.outgoing.clear();
    for (std::size_t at = 0; at < bytes.size(); at += std::min(piece, bytes.size() - at)) {
      to.take(base::as_bytes(std::string_view(bytes).substr(at, piece)));
    }
  }
};

// Makes a connecting engine offer no protocol by ALPN.
inline void forget_alpn(Engine& engine) {
  SSL_set_alpn_protos(engine.native_for_test(), nullptr, 0);
}

// Has `client` keep its last session in `session`.
inline void keep_sessions(const ClientContext& client, SSL_SESSION*& session) {
  SSL_CTX_set_session_cache_mode(client.native(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_app_data(client.native(), &session);
  SSL_CTX_sess_set_new_cb(client.native(), [](SSL* ssl, SSL_SESSION* fresh) {
    auto*& kept = *static_cast<SSL_SESSION**>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    SSL_SESSION_free(kept);
    kept = fresh;
    return 1;
  });
}

// The client says goodbye first; what the server then says is still heard.
inline bool ends_in_an_orderly_way(EnginePair& pair) {
  (void)pair.client.engine->write(base::as_bytes("last words"));
  pair.client.engine->send_close_notify();
  pair.run();
  if (pair.server.received != "last words" || !pair.server.closed) return false;
  (void)pair.server.engine->write(base::as_bytes("still heard"));
  pair.server.engine->send_close_notify();
  pair.run();
  return pair.client.received == "still heard" && pair.client.closed;
}

// Certificates and contexts that most tests share.
struct Contexts {
  Certificates certificates;
  base::SystemRandom random;
  TicketKeys ticket_keys{random};
  Certificates::Pair server_pair = certificates.issue("server", "DNS:localhost,IP:127.0.0.1");

  ServerOptions server_options() const {
    return {.cert_file = server_pair.cert_file, .key_file = server_pair.key_file};
  }
  std::shared_ptr<const ServerContext> server(const ServerOptions& options) const {
    auto context = ServerContext::build(options, ticket_keys);
    PENSTOCK_ASSERT(context);
    return *context;
  }
  std::shared_ptr<const ServerContext> server() const { return server(server_options()); }
  std::shared_ptr<const ClientContext> client(const ClientOptions& options = {}) const {
    auto context = ClientContext::build(options);
    PENSTOCK_ASSERT(context);
    return *context;
  }
  ClientOptions verifying(model::TlsMode mode) const {
    return {.mode = mode, .ca_file = certificates.ca_file()};
  }
};

}  // namespace penstock::tls::testing
