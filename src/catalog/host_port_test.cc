#include "catalog/host_port.h"

#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using model::HostPort;

TEST(HostPort, IsReadInEveryFormUsersWrite) {
  EXPECT_EQ(parse_host_port("db.example.com:6000"), (HostPort{"db.example.com", 6000}));
  EXPECT_EQ(parse_host_port("192.0.2.1"), (HostPort{"192.0.2.1", 5432}));
  EXPECT_EQ(parse_host_port("[2001:db8::1]:5433"), (HostPort{"2001:db8::1", 5433}));
  EXPECT_EQ(parse_host_port("[::1]"), (HostPort{"::1", 5432}));
  EXPECT_EQ(parse_host_port("::1"), (HostPort{"::1", 5432}));
  EXPECT_EQ(parse_host_port("/run/postgresql"), (HostPort{"/run/postgresql", 5432}));
  EXPECT_EQ(parse_host_port("/run/postgresql:5433"), (HostPort{"/run/postgresql", 5433}));
  EXPECT_EQ(parse_host_port("@proxy"), (HostPort{"@proxy", 5432}));
}

TEST(HostPort, TakesTheGivenPortWhenTheTextNamesNone) {
  EXPECT_EQ(parse_host_port("db", 7000), (HostPort{"db", 7000}));
  EXPECT_EQ(parse_host_port("db:1", 7000), (HostPort{"db", 1}));
}

TEST(HostPort, IsRefusedWithWhatIsAllowed) {
  for (const char* text : {"", ":5432", "db:", "db:0", "db:65536", "db:x", "[::1", "[::1]5432", "[db]:1",
                           "/a:b:1", "a:b:c", "@a:b:c", "@", "a b", "a,b", "db:-1", "[]:5432"}) {
    const auto result = parse_host_port(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().sqlstate, base::kInvalidParameterValue) << text;
    EXPECT_NE(result.error().message.find("must be"), std::string::npos) << text;
  }
}

TEST(HostPort, IsWrittenSoThatItIsReadBack) {
  for (const char* text :
       {"db:5432", "[::1]:5432", "[fe80::1%eth0]:5432", "/run/postgresql:5432", "@proxy:5432"}) {
    const auto target = parse_host_port(text);
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(to_text(*target), text);
  }
}

}  // namespace
}  // namespace penstock::catalog
