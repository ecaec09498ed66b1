// Networks in CIDR notation, and whether an address lies in one.
//
// Home: any thread (pure functions).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::model {

struct Network {
  std::array<std::uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  int bits = 128;                          // of all 128
};

// "192.0.2.1", or for more than one address "2001:db8::/64".
std::string to_text(const Network& network);

// Whom an address stands for: itself, or of IPv6 the 64 bits that a site gets as a whole.
std::optional<Network> site_of(std::string_view address);

// "192.0.2.0/24", "2001:db8::/32", or an address alone. Bits behind the prefix are allowed and ignored.
std::optional<Network> parse_network(std::string_view text);

// `address` as the system writes it, "192.0.2.1" or "2001:db8::1%eth0"; one that cannot be read is in no network.
bool contains(const Network& network, std::string_view address);

}  // namespace penstock::model
