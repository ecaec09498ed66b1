// Engine is one TLS connection without a socket: encrypted bytes in, plain bytes out, and the other way
// round.
//
// OpenSSL does it; with ServerOptions::compact, what follows a TLS 1.3 handshake is left to a RecordLayer, and
// OpenSSL's connection can be forgotten.
//
// Table:      state       event                      next
//             handshaking handshake() until kDone    open
//             open        read(), write()            open
//             open        read() gives kClosed       the peer will send no more; write() still works
//             any         an error                   dead: only destroying it is left
//
// Owner:      TlsStream, by unique_ptr (so that a connection can move to another loop).
// Home:       LOOP; may be handed to another thread as a whole.
// Invariants: 1. It takes no byte beyond the record it is reading: what follows the handshake stays in
//                `input`.
//             2. It buffers nothing while idle: OpenSSL's record buffers are freed when empty.
// Errors:     kProtocolViolation (accepting) or kConnectionFailure (connecting), with OpenSSL's reason.
// Bounds:     one partial record (16 KiB) while one is arriving.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "tls/context.h"
#include "tls/record_layer.h"

namespace penstock::tls {

// Who the other end says it is, by a certificate that has been verified.
struct PeerCertificate {
  std::string common_name;             // empty: none
  std::string distinguished_name;      // RFC 2253: "CN=bob,O=Example"
  std::vector<std::string> dns_names;  // subject alternative names
};

class HandshakeSecrets;

class Engine {
 public:
  using Output = EncryptedOutput;
  using Read = PlainRead;

  static base::Result<std::unique_ptr<Engine>> accepting(const ServerContext& context);
  // `host`: the name or IP address we want to reach, for server name indication and verify-full.
  static base::Result<std::unique_ptr<Engine>> connecting(const ClientContext& context,
                                                          const std::string& host);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void set_output(Output* output) { output_ = output; }

  enum class Progress { kNeedsMore, kDone };
  // Goes on with the handshake; takes what it needs from the front of `input`.
  base::Result<Progress> handshake(base::ByteView& input);

  // Decrypts into `out`, at most one record.
  base::Result<Read> read(base::ByteView& input, std::span<std::uint8_t> out);
  static constexpr std::size_t kReadRoom = RecordLayer::kReadRoom;  // enough for any record
  // Encrypts all of `plain` (at most kRecordMax bytes make one record).
  base::Status write(base::ByteView plain);
  static constexpr std::size_t kRecordMax = RecordLayer::kPlainMax;
  void send_close_notify();
  // Whether read() would give data without any input: `out` was too short for the last record.
  bool has_decrypted() const;

  // --- after the handshake, until it is forgotten ---
  // Gives OpenSSL's memory back, where it is needed no longer.
  void forget_handshake();
  std::string negotiated() const;   // "TLSv1.3/TLS_AES_256_GCM_SHA384"
  std::string server_name() const;  // what the client asked for (SNI); empty: nothing
  bool alpn_is_postgresql() const;
  bool resumed() const;
  // tls-server-end-point (RFC 5929): a hash of the server's certificate; empty when its kind defines none.
  std::string channel_binding() const;
  // Nothing when the peer has shown none, or when we do not verify.
  std::optional<PeerCertificate> peer_certificate() const;

  // For tests that must do what a well-behaved peer never does.
  SSL* native_for_test() { return ssl_.get(); }

 private:
  struct Bio;
  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };

  explicit Engine(SSL* ssl);
  base::Error error() const;
  std::string failure_reason() const;

  std::unique_ptr<SSL, FreeSsl> ssl_;          // null: forgotten
  std::unique_ptr<HandshakeSecrets> secrets_;  // during the handshake, if records_ are to follow
  std::unique_ptr<RecordLayer> records_;
  Output* output_ = nullptr;
  base::ByteView* input_ = nullptr;  // during a call only
  std::string host_;                 // connecting: for the words of errors; given back after the handshake
};

}  // namespace penstock::tls
