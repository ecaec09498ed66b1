#include "endpoint.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace penstock::bench {

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  Endpoint endpoint;
  endpoint.text_ = text;
  if (text.starts_with('/') || text.starts_with('@')) {
    auto* address = reinterpret_cast<sockaddr_un*>(&endpoint.storage_);
    if (text.size() >= sizeof(address->sun_path)) return std::nullopt;
    address->sun_family = AF_UNIX;
    std::memcpy(address->sun_path, text.data(), text.size());
    if (text[0] == '@') address->sun_path[0] = '\0';
    endpoint.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + (text[0] == '/'));
    return endpoint;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto* address = reinterpret_cast<sockaddr_in*>(&endpoint.storage_);
  address->sin_family = AF_INET;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  address->sin_port = htons(port);
  if (inet_pton(AF_INET, std::string(text.substr(0, colon)).c_str(), &address->sin_addr) != 1)
    return std::nullopt;
  endpoint.size_ = sizeof(sockaddr_in);
  return endpoint;
}

void Descriptor::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Descriptor listen_on(const Endpoint& endpoint) {
  Descriptor fd(socket(endpoint.data()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (endpoint.text().starts_with('/')) unlink(endpoint.text().c_str());
  if (bind(fd.get(), endpoint.data(), endpoint.size()) != 0 || listen(fd.get(), 4096) != 0) {
    die_errno("cannot listen on " + endpoint.text());
  }
  return fd;
}

int start_connect(const Endpoint& endpoint, std::uint32_t source, int receive_buffer) {
  Descriptor fd(socket(endpoint.data()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return -1;
  if (receive_buffer != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  if (!endpoint.is_unix()) {
    set_no_delay(fd.get());
    if (source != 0) {
      const int on = 1;
      // The port is then chosen per peer, so that one address serves every listening port anew.
      setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
      sockaddr_in from{};
      from.sin_family = AF_INET;
      from.sin_addr.s_addr = htonl(0x7f000000U | source);
      if (bind(fd.get(), reinterpret_cast<sockaddr*>(&from), sizeof(from)) != 0) return -1;
    }
  }
  if (connect(fd.get(), endpoint.data(), endpoint.size()) != 0 && errno != EINPROGRESS) return -1;
  return fd.release();
}

void set_no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // fails on Unix sockets, which need none
}

std::uint64_t data_segments_in(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_data_segs_in : 0;
}

std::uint64_t raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(2);
}

void die_errno(const std::string& what) {
  die(what + ": " + std::strerror(errno));
}

}  // namespace penstock::bench
