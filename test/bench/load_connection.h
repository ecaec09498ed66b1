// LoadConnection is the socket of one load client, with or without TLS.
//
// Owner:  LoadClient, by value.
// Home:   LOOP
// Bounds: unsent bytes are at most one batch of queries, or one piece of a COPY.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "endpoint.h"

namespace penstock::bench {

struct FreeSslSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SslSessionPtr = std::unique_ptr<SSL_SESSION, FreeSslSession>;

class LoadConnection {
 public:
  enum class Progress { kDone, kAgain, kFailed };

  void open(int fd) { fd_.reset(fd); }
  void close();
  int fd() const { return fd_.get(); }
  bool is_open() const { return fd_.get() >= 0; }
  bool has_tls() const { return ssl_ != nullptr; }
  bool is_resumed() const { return ssl_ && SSL_session_reused(ssl_.get()) == 1; }
  // TCP segments with data that have come in: on loopback, one for each send of the other side (up to 64 KiB).
  std::uint64_t segments_in() const;

  // `resume` may be null. The handshake goes on with every call until it is kDone.
  Progress start_tls(SSL_CTX* context, SSL_SESSION* resume);
  Progress handshake();

  // Bytes read; 0 when there are none now, -1 when the connection has ended.
  ssize_t receive(char* buffer, std::size_t size);
  // Sends, or keeps for flush().
  void send(std::string_view bytes);
  Progress flush();
  bool has_unsent() const { return !unsent_.empty(); }

 private:
  ssize_t put(std::string_view bytes);

  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  Descriptor fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::string unsent_;
};

}  // namespace penstock::bench
