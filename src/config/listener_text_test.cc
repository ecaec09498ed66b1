#include "config/listener_text.h"

#include <gtest/gtest.h>

namespace penstock::config {
namespace {

TEST(ListenerText, ReadsEveryKindOfAddress) {
  const auto listeners = parse_listeners(
      "127.0.0.1:6432, [::1]:6433,/run/penstock:6434?unix_mode=0770,@name:6435,*:6543?mode=session");
  ASSERT_TRUE(listeners) << listeners.error().to_string();
  const std::vector<ListenerSettings> expected = {
      {.address = "127.0.0.1", .port = 6432},
      {.address = "::1", .port = 6433},
      {.address = "/run/penstock", .port = 6434, .pool_mode = {}, .unix_mode = 0770},
      {.address = "@name", .port = 6435},
      {.address = "*", .port = 6543, .pool_mode = model::PoolMode::kSession},
  };
  EXPECT_EQ(*listeners, expected);
}

TEST(ListenerText, TakesTheUsualPortWhenNoneIsGiven) {
  for (const char* text : {"0.0.0.0", "[::]", "/tmp", "*"}) {
    const auto listener = parse_listener(text);
    ASSERT_TRUE(listener) << text;
    EXPECT_EQ(listener->port, 6432) << text;
  }
}

TEST(ListenerText, WritesWhatItReads) {
  for (const char* text : {"127.0.0.1:1", "[2001:db8::5]:6432", "/a b:6432?unix_mode=0700",
                           "*:1?pool_mode=statement", "@x:5?pool_mode=session&unix_mode=0600"}) {
    const auto listener = parse_listener(text);
    ASSERT_TRUE(listener) << text << ": " << listener.error().to_string();
    EXPECT_EQ(to_text(*listener), text);
  }
}

TEST(ListenerText, RefusesWhatIsNoPlaceToListenAt) {
  for (const char* text : {"",
                           "localhost:6432",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "::1:6432",
                           "[::1:6432",
                           "[::1]6432",
                           "256.0.0.1:1",
                           "1.2.3:1",
                           "1.2.3.4.:1",
                           "/:",
                           "@:1",
                           "*:1?port=2",
                           "*:1?mode=none",
                           "*:1?unix_mode=0999",
                           "[1:2:3:4:5:6:7:8:9]:1",
                           "[1::2::3]:1",
                           "[g::]:1",
                           "[:::]:1",
                           "[1:2:3:4:5:6:7:8::]:1"}) {
    EXPECT_FALSE(parse_listener(text)) << text;
  }
  EXPECT_FALSE(parse_listener("/" + std::string(100, 'x')));
}

TEST(ListenerText, KnowsIpv6InItsForms) {
  for (const char* ip :
       {"::", "::1", "1::", "fe80::1", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "64:ff9b::1.2.3.4"}) {
    EXPECT_TRUE(check_address(ip)) << ip;
  }
}

}  // namespace
}  // namespace penstock::config
