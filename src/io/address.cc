#include "io/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

#include "base/assert.h"

namespace penstock::io {

namespace {

constexpr std::size_t kUnixPathStart = offsetof(sockaddr_un, sun_path);

template <class T>
T view_as(const sockaddr* address) {
  T result{};
  std::memcpy(&result, address, sizeof(result));
  return result;
}

// "eth0" or "2"; 0 when there is no such interface.
std::uint32_t scope_id(const std::string& scope) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(scope.data(), scope.data() + scope.size(), number);
  if (error == std::errc() && end == scope.data() + scope.size()) return number;
  return if_nametoindex(scope.c_str());
}

}  // namespace

base::Result<Address> Address::from_ip(std::string_view ip, std::uint16_t port) {
  std::string text(ip);
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);

  sockaddr_in v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1 && !ip.starts_with('[')) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return from_sockaddr(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
  }

  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  bool scope_ok = true;
  if (const auto percent = text.find('%'); percent != std::string::npos) {
    v6.sin6_scope_id = scope_id(text.substr(percent + 1));
    scope_ok = v6.sin6_scope_id != 0;
    text.resize(percent);
  }
  if (!scope_ok || text.find('\0') != std::string::npos ||
      inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) {
    return base::fail(base::kInvalidParameterValue, fmt::format("\"{}\" is not an IP address", ip));
  }
  return from_sockaddr(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
}

base::Result<Address> Address::from_path(std::string_view path) {
  constexpr std::size_t kPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path == "@") {
    return base::fail(base::kInvalidParameterValue, "the path of a Unix socket is empty");
  }
  if (path.size() > kPathBytesMax) {
    return base::fail(
        base::kInvalidParameterValue, fmt::format("Unix socket path \"{}\" is too long", path),
        fmt::format("It has {} bytes; the most the system allows is {}.", path.size(), kPathBytesMax));
  }
  if (path.find('\0') != std::string_view::npos) {
    return base::fail(base::kInvalidParameterValue, "the path of a Unix socket contains a zero byte");
  }
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  std::size_t size = kUnixPathStart + path.size() + 1;
  if (path.front() == '@') {
    un.sun_path[0] = '\0';
    --size;  // an abstract name ends with its last byte, not with a zero
  }
  return from_sockaddr(reinterpret_cast<const sockaddr*>(&un), static_cast<socklen_t>(size));
}

Address Address::from_sockaddr(const sockaddr* address, socklen_t size) {
  PENSTOCK_ASSERT(size <= sizeof(sockaddr_storage));
  Address result;
  std::memcpy(&result.storage_, address, size);
  result.size_ = size;
  if (result.family() != AF_INET6) return result;

  // An IPv4 peer of a dual-stack socket shows as ::ffff:192.0.2.1; rules and logs want 192.0.2.1.
  const auto v6 = view_as<sockaddr_in6>(result.data());
  if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return result;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port;
  std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
  result.storage_ = {};
  std::memcpy(&result.storage_, &v4, sizeof(v4));
  result.size_ = sizeof(v4);
  return result;
}

std::uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(view_as<sockaddr_in>(data()).sin_port);
  if (family() == AF_INET6) return ntohs(view_as<sockaddr_in6>(data()).sin6_port);
  return 0;
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    const auto v4 = view_as<sockaddr_in>(data());
    return inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
  }
  if (family() == AF_INET6) {
    const auto v6 = view_as<sockaddr_in6>(data());
    std::string result = inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    if (v6.sin6_scope_id != 0) result += fmt::format("%{}", v6.sin6_scope_id);
    return result;
  }
  return is_unix() ? "unix" : "";
}

std::string Address::path() const {
  if (!is_unix() || size_ <= kUnixPathStart) return {};
  const auto un = view_as<sockaddr_un>(data());
  const std::size_t bytes = size_ - kUnixPathStart;
  if (un.sun_path[0] == '\0') return "@" + std::string(un.sun_path + 1, bytes - 1);
  return std::string(un.sun_path, strnlen(un.sun_path, bytes));
}

std::string Address::to_string() const {
  switch (family()) {
    case AF_INET:
      return fmt::format("{}:{}", ip(), port());
    case AF_INET6:
      return fmt::format("[{}]:{}", ip(), port());
    case AF_UNIX:
      return path().empty() ? "unix" : path();
    default:
      return "";
  }
}

}  // namespace penstock::io
