#include "model/network.h"

#include <gtest/gtest.h>

namespace penstock::model {
namespace {

bool is_in(std::string_view address, std::string_view network) {
  const auto parsed = parse_network(network);
  EXPECT_TRUE(parsed) << network;
  return parsed && contains(*parsed, address);
}

TEST(Network, ContainsTheAddressesOfItsPrefix) {
  EXPECT_TRUE(is_in("192.0.2.77", "192.0.2.0/24"));
  EXPECT_FALSE(is_in("192.0.3.77", "192.0.2.0/24"));
  EXPECT_TRUE(is_in("192.0.3.255", "192.0.2.9/23")) << "bits behind the prefix do not count";
  EXPECT_TRUE(is_in("10.1.2.3", "10.1.2.3"));
  EXPECT_FALSE(is_in("10.1.2.4", "10.1.2.3"));
  EXPECT_TRUE(is_in("2001:db8:1::5", "2001:db8::/32"));
  EXPECT_FALSE(is_in("2001:db9::5", "2001:db8::/32"));
  EXPECT_TRUE(is_in("fe80::1%eth0", "fe80::/10"));
}

TEST(Network, TakesAddressesOfBothKindsApart) {
  EXPECT_TRUE(is_in("8.8.8.8", "0.0.0.0/0"));
  EXPECT_FALSE(is_in("2001:db8::1", "0.0.0.0/0"));
  EXPECT_TRUE(is_in("2001:db8::1", "::/0"));
  EXPECT_FALSE(is_in("8.8.8.8", "::/0"));
  EXPECT_TRUE(is_in("::ffff:192.0.2.1", "192.0.2.0/24")) << "as a socket for both kinds tells it";
}

TEST(Network, IsWrittenAsItIsRead) {
  for (const char* text : {"192.0.2.1", "10.0.0.0/8", "2001:db8::/64", "::1", "::/0", "0.0.0.0/0"}) {
    EXPECT_EQ(to_text(*parse_network(text)), text);
  }
}

TEST(Network, ASiteIsOneAddressOfIpv4AndSixtyFourBitsOfIpv6) {
  EXPECT_EQ(to_text(*site_of("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(to_text(*site_of("::ffff:192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(to_text(*site_of("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
  EXPECT_EQ(to_text(*site_of("fe80::1%eth0")), "fe80::/64");
  EXPECT_FALSE(site_of("host"));
}

TEST(Network, RefusesWhatIsNone) {
  for (const char* text : {"", "/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "host",
                           "10.0.0.0/8x", "fe80::1%eth0/64"}) {
    EXPECT_FALSE(parse_network(text)) << text;
  }
  EXPECT_FALSE(contains(*parse_network("::/0"), "nonsense"));
}

}  // namespace
}  // namespace penstock::model
