// A client for tests that sends whatever bytes it is told, over a blocking socket, with or without TLS.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "base/assert.h"

namespace penstock::http::testing {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, SSL_CTX* tls = nullptr) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    if (tls == nullptr || !connected_) return;
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, socket_);
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~RawClient() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    ::close(socket_);
  }
  RawClient(const RawClient&) = delete;

  bool connected() const { return connected_; }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                        : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Bytes until there are no more for now; empty: the other side has closed.
  std::string some() {
    char bytes[65536];
    const auto size =
        ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof(bytes)) : ::recv(socket_, bytes, sizeof(bytes), 0);
    return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
  }
  // One answer whose length its header tells; whatever came when the connection ends first.
  std::string answer(bool has_body = true) {
    for (;;) {
      const std::size_t end = seen_.find("\r\n\r\n");
      if (end != std::string::npos) {
        std::size_t size = end + 4;
        const std::size_t length = seen_.find("Content-Length: ");
        if (has_body && length < end) size += std::stoul(seen_.substr(length + 16));
        if (seen_.size() >= size) {
          std::string result = seen_.substr(0, size);
          seen_.erase(0, size);
          return result;
        }
      }
      const std::string more = some();
      if (more.empty()) return std::exchange(seen_, {});
      seen_ += more;
    }
  }
  std::string ask(std::string_view bytes, bool has_body = true) {
    send(bytes);
    return answer(has_body);
  }
  bool is_closed() { return seen_.empty() && some().empty(); }

 private:
  int socket_;
  bool connected_ = false;
  SSL* ssl_ = nullptr;
  std::string seen_;
};

}  // namespace penstock::http::testing
