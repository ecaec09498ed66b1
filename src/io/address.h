// Address: where a socket listens or connects: IPv4, IPv6, or a Unix socket (abstract ones begin with '@').
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::io {

class Address {
 public:
  Address() = default;
  // "127.0.0.1", "::1", "[::1]" or "0.0.0.0"; a host name is an error (resolve it first).
  static base::Result<Address> from_ip(std::string_view ip, std::uint16_t port);
  // "/run/postgresql/.s.PGSQL.5432" or "@name"; at most 107 bytes.
  static base::Result<Address> from_path(std::string_view path);
  static Address from_sockaddr(const sockaddr* address, socklen_t size);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  std::uint16_t port() const;
  std::string ip() const;         // without the port; "unix" for Unix sockets
  std::string path() const;       // of a Unix socket, '@' for abstract ones
  std::string to_string() const;  // "127.0.0.1:6432", "[::1]:6432", "/run/…"
  friend bool operator==(const Address& a, const Address& b) { return a.to_string() == b.to_string(); }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace penstock::io
