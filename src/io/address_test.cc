#include "io/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace penstock::io {
namespace {

TEST(Address, ReadsAndWritesIpv4) {
  const auto address = Address::from_ip("127.0.0.1", 6432);
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(address->family(), AF_INET);
  EXPECT_EQ(address->port(), 6432);
  EXPECT_EQ(address->ip(), "127.0.0.1");
  EXPECT_EQ(address->to_string(), "127.0.0.1:6432");
  EXPECT_EQ(address->path(), "");
}

TEST(Address, ReadsIpv6WithAndWithoutBrackets) {
  const auto plain = Address::from_ip("::1", 5432);
  const auto bracketed = Address::from_ip("[::1]", 5432);
  ASSERT_TRUE(plain.has_value() && bracketed.has_value());
  EXPECT_EQ(*plain, *bracketed);
  EXPECT_EQ(plain->to_string(), "[::1]:5432");
  EXPECT_EQ(plain->ip(), "::1");
}

TEST(Address, KeepsTheScopeOfALinkLocalAddress) {
  const auto address = Address::from_ip("fe80::1%1", 5432);
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(address->ip(), "fe80::1%1");
  EXPECT_FALSE(Address::from_ip("fe80::1%no-such-interface", 5432).has_value());
}

TEST(Address, RefusesWhatIsNotAnIpAddress) {
  for (const auto* text :
       {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "[127.0.0.1]", "[]", ":::", "1.2.3.4 "}) {
    const auto address = Address::from_ip(text, 1);
    ASSERT_FALSE(address.has_value()) << text;
    EXPECT_EQ(address.error().sqlstate, base::kInvalidParameterValue);
  }
}

TEST(Address, ShowsAMappedIpv4PeerAsIpv4) {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(7);
  v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
  v6.sin6_addr.s6_addr[12] = 192;
  v6.sin6_addr.s6_addr[15] = 9;
  const auto address = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
  EXPECT_EQ(address.to_string(), "192.0.0.9:7");
  EXPECT_EQ(address.family(), AF_INET);
}

TEST(Address, ReadsUnixPaths) {
  const auto address = Address::from_path("/run/postgresql/.s.PGSQL.5432");
  ASSERT_TRUE(address.has_value());
  EXPECT_TRUE(address->is_unix());
  EXPECT_EQ(address->path(), "/run/postgresql/.s.PGSQL.5432");
  EXPECT_EQ(address->to_string(), "/run/postgresql/.s.PGSQL.5432");
  EXPECT_EQ(address->ip(), "unix");
  EXPECT_EQ(address->port(), 0);
}

TEST(Address, WritesAbstractNamesTheWayTheKernelComparesThem) {
  const auto address = Address::from_path("@penstock");
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(address->size(), offsetof(sockaddr_un, sun_path) + 9);
  EXPECT_EQ(reinterpret_cast<const sockaddr_un*>(address->data())->sun_path[0], '\0');
  EXPECT_EQ(address->path(), "@penstock");
}

TEST(Address, LimitsUnixPathsTo107Bytes) {
  EXPECT_TRUE(Address::from_path("/" + std::string(106, 'a')).has_value());
  EXPECT_FALSE(Address::from_path("/" + std::string(107, 'a')).has_value());
  EXPECT_FALSE(Address::from_path("").has_value());
  EXPECT_FALSE(Address::from_path("@").has_value());
  EXPECT_FALSE(Address::from_path(std::string_view("/a\0b", 4)).has_value());
}

TEST(Address, NamesAnUnboundUnixPeer) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const auto address = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&un), sizeof(sa_family_t));
  EXPECT_EQ(address.to_string(), "unix");
  EXPECT_EQ(address.path(), "");
}

TEST(Address, RoundTripsThroughTheKernel) {
  const auto wanted = Address::from_path("@penstock-address-test-" + std::to_string(getpid()));
  ASSERT_TRUE(wanted.has_value());
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, wanted->data(), wanted->size()), 0) << std::strerror(errno);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  EXPECT_EQ(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&bound), size), *wanted);
  close(fd);
}

}  // namespace
}  // namespace penstock::io
