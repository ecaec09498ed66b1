#include "catalog/host_port.h"

#include <arpa/inet.h>  // HOUSE(syscall): inet_pton only computes
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "catalog/field_checks.h"

namespace penstock::catalog {

namespace {

std::unexpected<base::Error> refuse(std::string_view text) {
  return refuse_value(kHostsAllowed, text);
}

base::Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port < 1 || port > 65535) {
    return refuse_value("HOST[:PORT] with a port from 1 to 65535", text);
  }
  return static_cast<std::uint16_t>(port);
}

bool is_host_character(unsigned char c) {
  return c > ' ' && c != 0x7f && c != ',';
}

// With or without a zone ("fe80::1%eth0").
bool is_ipv6(std::string_view host) {
  in6_addr ignored;
  const std::string address(host.substr(0, host.find('%')));
  return ::inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

bool is_host(std::string_view host) {
  // A sockaddr_un takes 108 bytes, "/.s.PGSQL.65535" included; a DNS name has at most 253.
  const std::size_t longest = host.starts_with('/') || host.starts_with('@') ? 90 : 253;
  if (host.find(':') != std::string_view::npos && !is_ipv6(host)) return false;
  return base::is_utf8(host) && !host.empty() && host != "@" && host.size() <= longest &&
         std::ranges::all_of(host, is_host_character);
}

}  // namespace

base::Result<model::HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return refuse(text);
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    has_port = rest.starts_with(':');
    if (!rest.empty() && !has_port) return refuse(text);
    if (host.find(':') == std::string_view::npos) return refuse(text);
    port = has_port ? rest.substr(1) : rest;
  } else if (const std::size_t colon = text.rfind(':');
             colon != std::string_view::npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  if (!is_host(host)) return refuse(text);
  model::HostPort target{.host = std::string(host), .port = default_port};
  if (has_port) {
    const base::Result<std::uint16_t> number = parse_port(port);
    if (!number) return base::fail(number.error());
    target.port = *number;
  }
  return target;
}

std::string to_text(const model::HostPort& target) {
  return target.host.find(':') != std::string::npos ? fmt::format("[{}]:{}", target.host, target.port)
                                                    : fmt::format("{}:{}", target.host, target.port);
}

}  // namespace penstock::catalog
