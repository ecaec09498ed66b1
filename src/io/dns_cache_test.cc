#include "io/dns_cache.h"

#include <gtest/gtest.h>

namespace penstock::io {
namespace {

using std::chrono::seconds;

constexpr base::TimePoint kNow{seconds(1'000)};

DnsAnswer found(const char* ip, base::Duration ttl) {
  return {.kind = DnsAnswer::Kind::kFound, .addresses = {*Address::from_ip(ip, 0)}, .ttl = ttl};
}
const DnsAnswer kNoName{.kind = DnsAnswer::Kind::kNoName, .reason = "name does not exist"};
const DnsAnswer kTrouble{.kind = DnsAnswer::Kind::kTrouble, .reason = "Timeout while contacting DNS servers"};

TEST(DnsCache, KeepsAnAnswerForItsTimeWithinBounds) {
  DnsCache cache({.ttl_min = seconds(2), .ttl_max = seconds(10)});
  cache.store("short", found("10.0.0.1", seconds(0)), kNow);
  cache.store("middle", found("10.0.0.2", seconds(5)), kNow);
  cache.store("long", found("10.0.0.3", seconds(86'400)), kNow);
  EXPECT_NE(cache.find("short", kNow + seconds(1)), nullptr);
  EXPECT_EQ(cache.find("short", kNow + seconds(2)), nullptr);
  EXPECT_NE(cache.find("middle", kNow + seconds(4)), nullptr);
  EXPECT_EQ(cache.find("middle", kNow + seconds(5)), nullptr);
  EXPECT_NE(cache.find("long", kNow + seconds(9)), nullptr);
  EXPECT_EQ(cache.find("long", kNow + seconds(10)), nullptr);
}

TEST(DnsCache, KeepsTheAbsenceOfANameBriefly) {
  DnsCache cache({.negative_ttl = seconds(3)});
  cache.store("gone", kNoName, kNow);
  ASSERT_NE(cache.find("gone", kNow + seconds(2)), nullptr);
  EXPECT_EQ(cache.find("gone", kNow + seconds(2))->kind, DnsAnswer::Kind::kNoName);
  EXPECT_EQ(cache.find("gone", kNow + seconds(3)), nullptr);
}

TEST(DnsCache, NeverKeepsTrouble) {
  DnsCache cache({});
  EXPECT_EQ(cache.store("name", kTrouble, kNow).kind, DnsAnswer::Kind::kTrouble);
  EXPECT_EQ(cache.find("name", kNow), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(DnsCache, AnswersTroubleWithTheLastGoodAddressForAWhile) {
  DnsCache cache({.stale_max = seconds(60), .stale_retry = seconds(30)});
  cache.store("name", found("10.0.0.1", seconds(5)), kNow);
  EXPECT_EQ(cache.find("name", kNow + seconds(10)), nullptr);
  EXPECT_TRUE(cache.may_serve_stale("name", kNow + seconds(10)));
  EXPECT_EQ(cache.store("name", kTrouble, kNow + seconds(10)).kind, DnsAnswer::Kind::kFound);
  EXPECT_NE(cache.find("name", kNow + seconds(39)), nullptr) << "name servers are left in peace";
  EXPECT_EQ(cache.find("name", kNow + seconds(40)), nullptr) << "the next one asks again";
  EXPECT_EQ(cache.store("name", kTrouble, kNow + seconds(64)).kind, DnsAnswer::Kind::kFound);
  EXPECT_NE(cache.find("name", kNow + seconds(64)), nullptr);
  EXPECT_EQ(cache.find("name", kNow + seconds(65)), nullptr);
  EXPECT_FALSE(cache.may_serve_stale("name", kNow + seconds(65)));
  EXPECT_EQ(cache.store("name", kTrouble, kNow + seconds(65)).kind, DnsAnswer::Kind::kTrouble);
}

TEST(DnsCache, TroubleDoesNotShortenWhatIsStillGood) {
  DnsCache cache({.ttl_max = seconds(100), .stale_retry = seconds(30)});
  cache.store("name", found("10.0.0.1", seconds(100)), kNow);
  cache.store("name", kTrouble, kNow + seconds(1));
  EXPECT_NE(cache.find("name", kNow + seconds(99)), nullptr);
}

TEST(DnsCache, ReplacesAnOlderAnswer) {
  DnsCache cache({});
  cache.store("name", found("10.0.0.1", seconds(5)), kNow);
  cache.store("name", found("10.0.0.2", seconds(5)), kNow);
  EXPECT_EQ(cache.find("name", kNow)->addresses[0].ip(), "10.0.0.2");
  EXPECT_EQ(cache.size(), 1U);
}

TEST(DnsCache, DropsTheNameUnusedForLongestWhenFull) {
  DnsCache cache({.entries_max = 2});
  cache.store("a", found("10.0.0.1", seconds(5)), kNow);
  cache.store("b", found("10.0.0.2", seconds(5)), kNow);
  EXPECT_NE(cache.find("a", kNow), nullptr);
  cache.store("c", found("10.0.0.3", seconds(5)), kNow);
  EXPECT_EQ(cache.find("b", kNow), nullptr);
  EXPECT_NE(cache.find("a", kNow), nullptr);
  EXPECT_NE(cache.find("c", kNow), nullptr);
}

TEST(DnsCache, MayBeSwitchedOff) {
  DnsCache cache({.entries_max = 0});
  EXPECT_EQ(cache.store("a", found("10.0.0.1", seconds(5)), kNow).addresses.size(), 1U);
  EXPECT_EQ(cache.find("a", kNow), nullptr);
}

}  // namespace
}  // namespace penstock::io
