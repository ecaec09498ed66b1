#include "model/network.h"

#include <arpa/inet.h>  // HOUSE(syscall): inet_pton only computes

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

namespace penstock::model {

namespace {

constexpr int kMappedBits = 96;  // of ::ffff:0:0/96

// The address, and whether it was written as IPv4.
std::optional<std::pair<std::array<std::uint8_t, 16>, bool>> parse_address(std::string_view text) {
  const std::string address(text.substr(0, text.find('%')));
  std::array<std::uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return std::pair(bytes, false);
  bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (::inet_pton(AF_INET, address.c_str(), bytes.data() + 12) == 1) return std::pair(bytes, true);
  return std::nullopt;
}

}  // namespace

std::optional<Network> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address || text.find('%') != std::string_view::npos || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  Network network{.address = address->first};
  if (slash == std::string_view::npos) return network;
  const std::string_view digits = text.substr(slash + 1);
  int bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc{} || end != digits.data() + digits.size() || bits < 0 ||
      bits > (address->second ? 32 : 128)) {
    return std::nullopt;
  }
  network.bits = address->second ? kMappedBits + bits : bits;
  return network;
}

std::string to_text(const Network& network) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool is_v4 =
      network.bits >= kMappedBits && std::memcmp(network.address.data(), mapped.data(), mapped.size()) == 0;
  if (is_v4) {
    ::inet_ntop(AF_INET, network.address.data() + mapped.size(), text.data(), text.size());
  } else {
    ::inet_ntop(AF_INET6, network.address.data(), text.data(), text.size());
  }
  std::string result(text.data());
  if (network.bits < 128) result += '/' + std::to_string(is_v4 ? network.bits - kMappedBits : network.bits);
  return result;
}

std::optional<Network> site_of(std::string_view address) {
  const auto parsed = parse_address(address);
  if (!parsed) return std::nullopt;
  Network site{.address = parsed->first};
  if (contains({.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, .bits = kMappedBits}, address))
    return site;
  site.bits = 64;
  std::fill(site.address.begin() + 8, site.address.end(), std::uint8_t{0});
  return site;
}

bool contains(const Network& network, std::string_view address) {
  const auto parsed = parse_address(address);
  if (!parsed) return false;
  // "::/0" means every IPv6 address, as everywhere; not the IPv4 ones behind ::ffff.
  const Network mapped{.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, .bits = kMappedBits};
  if (network.bits < kMappedBits && std::memcmp(parsed->first.data(), mapped.address.data(), 12) == 0)
    return false;
  const auto whole = static_cast<std::size_t>(network.bits / 8);
  if (std::memcmp(parsed->first.data(), network.address.data(), whole) != 0) return false;
  const int rest = network.bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (parsed->first[whole] & mask) == (network.address[whole] & mask);
}

}  // namespace penstock::model
