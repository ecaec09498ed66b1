#include "load_connection.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>

namespace penstock::bench {

void LoadConnection::close() {
  // A session whose connection was not shut down may not be resumed, says OpenSSL.
  if (ssl_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  ssl_.reset();
  fd_.reset();
  std::string().swap(unsent_);
}

LoadConnection::Progress LoadConnection::start_tls(SSL_CTX* context, SSL_SESSION* resume) {
  ssl_.reset(SSL_new(context));
  SSL_set_fd(ssl_.get(), fd_.get());
  SSL_set_connect_state(ssl_.get());
  if (resume != nullptr) SSL_set_session(ssl_.get(), resume);
  return handshake();
}

LoadConnection::Progress LoadConnection::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return Progress::kDone;
  const int error = SSL_get_error(ssl_.get(), result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Progress::kAgain : Progress::kFailed;
}

std::uint64_t LoadConnection::segments_in() const {
  return data_segments_in(fd_.get());
}

ssize_t LoadConnection::receive(char* buffer, std::size_t size) {
  if (ssl_ == nullptr) {
    const ssize_t got = recv(fd_.get(), buffer, size, 0);
    if (got > 0) return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
  }
  ERR_clear_error();
  std::size_t got = 0;
  if (SSL_read_ex(ssl_.get(), buffer, size, &got) == 1) return static_cast<ssize_t>(got);
  return SSL_get_error(ssl_.get(), 0) == SSL_ERROR_WANT_READ ? 0 : -1;
}

ssize_t LoadConnection::put(std::string_view bytes) {
  if (ssl_ == nullptr) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  }
  ERR_clear_error();
  std::size_t sent = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) == 1) return static_cast<ssize_t>(sent);
  const int error = SSL_get_error(ssl_.get(), 0);
  return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}

void LoadConnection::send(std::string_view bytes) {
  if (unsent_.empty()) {
    const ssize_t sent = put(bytes);
    if (sent < 0) return;  // the next receive() says that it has ended
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  unsent_.append(bytes);
}

LoadConnection::Progress LoadConnection::flush() {
  if (unsent_.empty()) return Progress::kDone;
  const ssize_t sent = put(unsent_);
  if (sent < 0) return Progress::kFailed;
  unsent_.erase(0, static_cast<std::size_t>(sent));
  return unsent_.empty() ? Progress::kDone : Progress::kAgain;
}

}  // namespace penstock::bench
