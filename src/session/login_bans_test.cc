#include "session/login_bans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace penstock::session {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

class LoginBansTest : public ::testing::Test {
 public:
  bool wrong(std::string_view tenant, std::string_view address) {
    return bans.note_wrong_password(tenant, address, policy, now);
  }
  bool is_banned(std::string_view tenant, std::string_view address) const {
    return bans.banned_until(tenant, address, policy, now).has_value();
  }
  std::vector<std::string> listed(std::string_view tenant) const {
    std::vector<std::string> addresses;
    for (const auto& ban : bans.list(tenant, now)) addresses.push_back(ban.address);
    return addresses;
  }
  LoginBans bans;
  std::vector<std::string> exempt;
  LoginBans::Policy policy{.failures = 3, .window = seconds(100), .time = seconds(60), .exempt = exempt};
  base::TimePoint now{seconds(1000)};
};

TEST_F(LoginBansTest, BanAfterSoManyWrongPasswordsForATime) {
  EXPECT_FALSE(wrong("acme", "192.0.2.1"));
  EXPECT_FALSE(wrong("acme", "192.0.2.1"));
  EXPECT_FALSE(is_banned("acme", "192.0.2.1"));
  EXPECT_TRUE(wrong("acme", "192.0.2.1"));
  EXPECT_EQ(bans.banned_until("acme", "192.0.2.1", policy, now), now + seconds(60));
  now += seconds(59);
  EXPECT_TRUE(is_banned("acme", "192.0.2.1"));
  now += seconds(1);
  EXPECT_FALSE(is_banned("acme", "192.0.2.1"));
  EXPECT_FALSE(wrong("acme", "192.0.2.1")) << "it begins anew";
}

TEST_F(LoginBansTest, CountByTenantAndAddress) {
  for (int i = 0; i < 3; ++i) wrong("acme", "192.0.2.1");
  EXPECT_FALSE(is_banned("acme", "192.0.2.2"));
  EXPECT_FALSE(is_banned("globex", "192.0.2.1"));
  EXPECT_TRUE(is_banned("acme", "192.0.2.1"));
}

TEST_F(LoginBansTest, FailuresThatAreFarApartDoNotAddUp) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(wrong("acme", "192.0.2.1"));
    now += seconds(51);
  }
}

TEST_F(LoginBansTest, AttemptsThatWereUnderWayDoNotMakeABanLonger) {
  for (int i = 0; i < 3; ++i) wrong("acme", "192.0.2.1");
  const auto until = bans.banned_until("acme", "192.0.2.1", policy, now);
  now += seconds(10);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(wrong("acme", "192.0.2.1"));
  EXPECT_EQ(bans.banned_until("acme", "192.0.2.1", policy, now), until);
}

TEST_F(LoginBansTest, ProofsInDoubtCountUntilItIsKnownWhetherTheyAreWrong) {
  const auto may_guess = [&] { return bans.may_guess("acme", "192.0.2.1", policy, now); };
  const auto doubt = [&] {
    return std::make_unique<LoginBans::Doubt>(bans, "acme", "192.0.2.1", policy, now);
  };
  EXPECT_TRUE(may_guess());
  wrong("acme", "192.0.2.1");
  auto one = doubt();
  EXPECT_TRUE(may_guess());
  auto other = doubt();
  EXPECT_FALSE(may_guess());
  EXPECT_TRUE(bans.may_guess("acme", "192.0.2.2", policy, now));
  EXPECT_FALSE(is_banned("acme", "192.0.2.1"));
  one.reset();
  EXPECT_TRUE(may_guess());
  wrong("acme", "192.0.2.1");
  EXPECT_FALSE(may_guess());
  wrong("acme", "192.0.2.1");
  EXPECT_TRUE(is_banned("acme", "192.0.2.1"));
  other.reset();
  EXPECT_FALSE(may_guess());
  now += seconds(60);
  EXPECT_TRUE(may_guess());
}

TEST_F(LoginBansTest, DoubtsThatWereWithoutReasonLeaveNothing) {
  {
    const LoginBans::Doubt doubt(bans, "acme", "192.0.2.1", policy, now);
  }
  EXPECT_EQ(bans.size(), 0U);
  exempt = {"192.0.2.0/24"};
  policy.failures = 1;
  const LoginBans::Doubt doubt(bans, "acme", "192.0.2.1", policy, now);
  EXPECT_TRUE(bans.may_guess("acme", "192.0.2.1", policy, now));
  EXPECT_EQ(bans.size(), 0U);
}

TEST_F(LoginBansTest, AnIpv6SiteIsOne) {
  wrong("acme", "2001:db8:1:2::1");
  wrong("acme", "2001:db8:1:2::2");
  EXPECT_TRUE(wrong("acme", "2001:db8:1:2:9::3"));
  EXPECT_TRUE(is_banned("acme", "2001:db8:1:2::77"));
  EXPECT_FALSE(is_banned("acme", "2001:db8:1:3::1"));
  EXPECT_THAT(listed("acme"), ElementsAre("2001:db8:1:2::/64"));
}

TEST_F(LoginBansTest, ExemptNetworksAndUnixSocketsAreNeverBanned) {
  exempt = {"10.0.0.0/8"};
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(wrong("acme", "10.1.2.3"));
    EXPECT_FALSE(wrong("acme", ""));
  }
  EXPECT_EQ(bans.size(), 0u);
  for (int i = 0; i < 3; ++i) wrong("acme", "192.0.2.1");
  ASSERT_TRUE(is_banned("acme", "192.0.2.1"));
  exempt = {"192.0.2.0/24"};
  EXPECT_FALSE(is_banned("acme", "192.0.2.1")) << "an exemption counts at once";
}

TEST_F(LoginBansTest, CanBeSwitchedOff) {
  for (int i = 0; i < 3; ++i) wrong("acme", "192.0.2.1");
  policy.failures = 0;
  EXPECT_FALSE(is_banned("acme", "192.0.2.1"));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(wrong("acme", "192.0.2.2"));
}

TEST_F(LoginBansTest, AreListedAndLifted) {
  for (const char* address : {"192.0.2.2", "192.0.2.1", "2001:db8::1"}) {
    for (int i = 0; i < 3; ++i) wrong("acme", address);
  }
  wrong("acme", "192.0.2.9");
  EXPECT_THAT(listed("acme"), ElementsAre("192.0.2.1", "192.0.2.2", "2001:db8::/64"));
  EXPECT_THAT(listed("globex"), ElementsAre());
  bans.lift("globex", {"192.0.2.1"});
  bans.lift("acme", {"192.0.2.1", "198.51.100.1", "nonsense", "2001:db8::/64"});
  EXPECT_THAT(listed("acme"), ElementsAre("192.0.2.2"));
  EXPECT_FALSE(is_banned("acme", "192.0.2.1"));
  now += seconds(60);
  EXPECT_THAT(listed("acme"), ElementsAre());
}

TEST_F(LoginBansTest, WhatIsOverIsForgotten) {
  for (int i = 0; i < 100; ++i) wrong("acme", "192.0.2." + std::to_string(i));
  EXPECT_EQ(bans.size(), 100u);
  now += seconds(200);
  wrong("acme", "198.51.100.1");
  EXPECT_EQ(bans.size(), 1u);
}

TEST_F(LoginBansTest, ManyAddressesTakeNoMoreThanSoMuchRoomAndTheBannedStayToTheLast) {
  for (int i = 0; i < 3; ++i) wrong("acme", "192.0.2.1");
  wrong("acme", "192.0.2.2");
  wrong("acme", "192.0.2.2");
  for (std::size_t i = 0; i < LoginBans::kEntriesMax + 10; ++i) {
    wrong("t" + std::to_string(i), "198.51.100.1");
  }
  EXPECT_EQ(bans.size(), LoginBans::kEntriesMax);
  EXPECT_TRUE(is_banned("acme", "192.0.2.1"));
  EXPECT_FALSE(wrong("acme", "192.0.2.2")) << "the oldest of the others made room";
  policy.failures = 1;
  for (std::size_t i = 0; i < LoginBans::kEntriesMax; ++i) {
    wrong("t" + std::to_string(i), "198.51.100.2");
  }
  EXPECT_EQ(bans.size(), LoginBans::kEntriesMax);
  EXPECT_FALSE(is_banned("acme", "192.0.2.1"));
}

TEST_F(LoginBansTest, OfANameThatIsLongerThanAnIdOnlyTheBeginningCounts) {
  const std::string name(LoginBans::kTenantBytesMax, 'x');
  wrong(name + "1", "192.0.2.1");
  wrong(name + "2", "192.0.2.1");
  {
    const LoginBans::Doubt doubt(bans, name + "3", "192.0.2.1", policy, now);
  }
  EXPECT_TRUE(wrong(name + std::string(9000, 'y'), "192.0.2.1"));
  EXPECT_TRUE(is_banned(name, "192.0.2.1"));
  EXPECT_TRUE(bans.may_guess(name.substr(1), "192.0.2.1", policy, now));
  EXPECT_FALSE(bans.may_guess(name + "4", "192.0.2.1", policy, now));
  EXPECT_EQ(bans.size(), 1U);
}

TEST_F(LoginBansTest, WorkersShareThem) {
  policy.failures = 1000;
  std::vector<std::thread> workers;
  std::atomic<int> begun = 0;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      for (int i = 0; i < 250; ++i) begun += wrong("acme", "192.0.2.1") ? 1 : 0;
    });
  }
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(begun, 1);
}

}  // namespace
}  // namespace penstock::session
