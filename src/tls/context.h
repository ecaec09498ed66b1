// ServerContext and ClientContext hold what all TLS connections of one kind share: certificate, key,
// authorities, rules.
//
// They wrap OpenSSL's SSL_CTX. A reload builds a new one; connections keep the one they began with.
//
// Owner:      whoever configured it, as shared_ptr<const>; every connection's Engine keeps OpenSSL's part
//             alive.
// Home:       SHARED: immutable once built. All workers make connections from one SSL_CTX at the same time;
//             OpenSSL documents that as safe (its own locks and reference counts; no session cache is kept
//             that could contend).
// Invariants: 1. Renegotiation and compression are off; TLS 1.2 is the oldest protocol.
//             2. A session ticket is accepted only where certificate rules and our certificate are the same as
//                when it was issued.
// Errors:     kConfigFileError, naming the file and OpenSSL's reason.
// See:        docs of libpq (sslmode, sslrootcert) and Postgres (ssl_ca_file), whose rules these follow.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "model/tenant.h"

// OpenSSL's types, so that nobody above must include its headers.
using SSL_CTX = struct ssl_ctx_st;
using SSL = struct ssl_st;

namespace penstock::tls {

inline constexpr const char* kAlpn = "postgresql";
// What is spoken inside: a client that names another protocol (ALPN) was sent here by a trick, and is refused.
enum class Inside : std::uint8_t { kPostgres, kHttp };

struct FreeSslCtx {
  void operator()(SSL_CTX* context) const;
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, FreeSslCtx>;

// The keys that session tickets are sealed with. Made once per process and given to every ServerContext, so
// that clients resume across reloads and workers.
class TicketKeys {
 public:
  explicit TicketKeys(base::Random& random) { random.fill(bytes_); }
  ~TicketKeys();
  const std::array<std::uint8_t, 80>& bytes() const { return bytes_; }

 private:
  std::array<std::uint8_t, 80> bytes_;  // as SSL_CTX_set_tlsext_ticket_keys() takes them
};

struct ServerOptions {
  model::TlsMode mode = model::TlsMode::kRequire;  // kVerifyCa and above: clients must show a certificate
  std::string cert_file;                           // PEM, with its chain
  std::string key_file;                            // PEM, no passphrase
  std::string ca_file;               // PEM; if given, a certificate that a client shows must be from these
  std::string min_protocol = "1.2";  // "1.2" or "1.3"
  std::string ciphers;  // OpenSSL's words, "TLS_…" names are for TLS 1.3; empty: OpenSSL's default
  Inside inside = Inside::kPostgres;
  bool compact = false;  // what follows a TLS 1.3 handshake is not OpenSSL's
};

// HOUSE(names): Context is OpenSSL's own word for this (SSL_CTX).
class ServerContext {
 public:
  static base::Result<std::shared_ptr<const ServerContext>> build(const ServerOptions& options,
                                                                  const TicketKeys& ticket_keys);
  SSL_CTX* native() const { return context_.get(); }
  bool compact() const { return compact_; }

 private:
  ServerContext(SslCtxPtr context, bool compact) : context_(std::move(context)), compact_(compact) {}
  SslCtxPtr context_;
  bool compact_;
};

struct ClientOptions {
  // kVerifyCa: the certificate must be from a known authority; kVerifyFull: and be for the host's name.
  // Below, it is not looked at, except: kRequire with a ca_file means kVerifyCa, as in libpq.
  model::TlsMode mode = model::TlsMode::kPrefer;
  std::string ca_file;    // PEM; empty or "system": the system's store
  std::string ca_pem;     // instead of a file: the certificates themselves
  std::string cert_file;  // our certificate; empty: none
  std::string key_file;
  std::string min_protocol = "1.2";
  std::string ciphers;
};

// HOUSE(names): as above.
class ClientContext {
 public:
  static base::Result<std::shared_ptr<const ClientContext>> build(const ClientOptions& options);
  SSL_CTX* native() const { return context_.get(); }
  bool verifies_host() const { return verifies_host_; }

 private:
  ClientContext(SslCtxPtr context, bool verifies_host)
      : context_(std::move(context)), verifies_host_(verifies_host) {}
  SslCtxPtr context_;
  bool verifies_host_;
};

}  // namespace penstock::tls
