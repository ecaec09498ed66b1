#include "io/socket_setup.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

namespace penstock::io {

namespace {

void set_int(int descriptor, int level, int option, int value) {
  setsockopt(descriptor, level, option, &value, sizeof(value));
}

// A socket file left behind by a process that is gone: nobody accepts on it. One whose queue is full (EAGAIN) is
// there, and could keep a connect() that waits for as long as it likes.
bool is_stale(const Address& address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return false;
  const bool refused = connect(probe, address.data(), address.size()) < 0 && errno == ECONNREFUSED;
  close(probe);
  return refused;
}

// Two processes of one user may share a port with SO_REUSEPORT, and each would get half of the clients.
// Without that option the kernel says whether somebody is there.
int try_claim(const Address& address) {
  const int probe = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return errno;
  set_int(probe, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.family() == AF_INET6) set_int(probe, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const int error = bind(probe, address.data(), address.size()) < 0 ? errno : 0;
  close(probe);
  return error;
}

// The kernel may take a moment to close what a killed process has left.
int error_of_claim(const Address& address) {
  constexpr int kTries = 20;
  int error = try_claim(address);
  for (int i = 1; i < kTries && error == EADDRINUSE; ++i) {
    usleep(50'000);
    error = try_claim(address);
  }
  return error;
}

base::Error listen_error(const Address& address, int errno_value) {
  const bool unknown = errno_value == EAFNOSUPPORT || errno_value == EADDRNOTAVAIL;
  auto error = base::errno_error(unknown ? base::kFeatureNotSupported : base::kIoError,
                                 "could not listen on \"" + address.to_string() + "\"", errno_value);
  if (errno_value == EADDRINUSE) error.hint = "Is another server already running there?";
  if (errno_value == EACCES) error.hint = "Ports below 1024 and system directories need more rights.";
  return error;
}

}  // namespace

void apply_tcp_options(int descriptor, const TcpOptions& tcp) {
  set_int(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_int(descriptor, SOL_SOCKET, SO_KEEPALIVE, tcp.keepalive ? 1 : 0);
  if (tcp.keepalive_idle.count() > 0) {
    set_int(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(tcp.keepalive_idle.count()));
  }
  if (tcp.keepalive_interval.count() > 0) {
    set_int(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(tcp.keepalive_interval.count()));
  }
  if (tcp.keepalive_count > 0) set_int(descriptor, IPPROTO_TCP, TCP_KEEPCNT, tcp.keepalive_count);
  if (tcp.user_timeout.count() > 0) {
    set_int(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(tcp.user_timeout.count()));
  }
}

base::Result<int> open_listener(const Address& address, const ListenOptions& options, const TcpOptions& tcp) {
  if (options.claim && options.reuse_port && !address.is_unix()) {
    if (const int error = error_of_claim(address); error != 0)
      return base::fail(listen_error(address, error));
  }
  const int descriptor = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return base::fail(listen_error(address, errno));
  const bool has_file = address.is_unix() && !address.path().starts_with('@');
  if (address.is_unix()) {
    if (has_file && is_stale(address)) unlink(address.path().c_str());
  } else {
    set_int(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) set_int(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
    if (address.family() == AF_INET6) set_int(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    apply_tcp_options(descriptor, tcp);  // accepted sockets inherit them
  }
  if (bind(descriptor, address.data(), address.size()) < 0 || listen(descriptor, options.backlog) < 0) {
    const int error = errno;
    close(descriptor);
    return base::fail(listen_error(address, error));
  }
  if (has_file) chmod(address.path().c_str(), static_cast<mode_t>(options.unix_mode));
  return descriptor;
}

void remove_socket_file(const Address& address) {
  if (address.is_unix() && address.path().starts_with('/')) unlink(address.path().c_str());
}

base::Result<int> open_connector(const Address& address, const TcpOptions& tcp) {
  const int descriptor = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return base::fail(connect_error(address, errno));
  if (!address.is_unix()) apply_tcp_options(descriptor, tcp);
  return descriptor;
}

PeerName peer_name(const sockaddr* address, socklen_t size) {
  const Address peer = Address::from_sockaddr(address, size);
  if (peer.is_unix()) return PeerName{.address = "unix"};
  return PeerName{.address = peer.ip(), .port = peer.port()};
}

PeerName peer_name(int descriptor) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) < 0) return {};
  PeerName name = peer_name(reinterpret_cast<const sockaddr*>(&storage), size);
  ucred credentials{};
  socklen_t credentials_size = sizeof(credentials);
  if (name.is_unix() &&
      getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) == 0) {
    name.uid = static_cast<int>(credentials.uid);
    name.pid = credentials.pid;
  }
  return name;
}

Address local_address(int descriptor) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) < 0) return {};
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), size);
}

PeerName local_name(int descriptor) {
  const Address address = local_address(descriptor);
  return peer_name(address.data(), address.size());
}

base::Error connect_error(const Address& address, int errno_value) {
  auto error =
      base::errno_error(base::kConnectionFailure,
                        "connection to server at \"" + address.to_string() + "\" failed", errno_value);
  if (errno_value == ECONNREFUSED || errno_value == ENOENT) {
    error.hint = "Is the server running there and accepting connections?";
  }
  return error;
}

}  // namespace penstock::io
