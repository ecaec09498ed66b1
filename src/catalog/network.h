// Networks in CIDR notation, and whether an address lies in one.
//
// Home: any thread (pure functions).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::catalog {

struct Network {
  std::array<std::uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  int bits = 128;                          // of all 128
};

// "192.0.2.0/24", "2001:db8::/32", or an address alone. Bits behind the prefix are allowed and ignored.
std::optional<Network> parse_network(std::string_view text);

// `address` as the system writes it, "192.0.2.1" or "2001:db8::1%eth0"; one that cannot be read is in no network.
bool contains(const Network& network, std::string_view address);

}  // namespace penstock::catalog
