#include "catalog/ban.h"

#include <gtest/gtest.h>

#include "catalog/timestamp.h"

namespace penstock::catalog {
namespace {

const model::WallTime kNow = *parse_timestamp("2026-11-22T12:00:00Z");
const model::WallTime kLater = kNow + std::chrono::hours(1);

TEST(Ban, IsDatedWhenItBegins) {
  model::TenantSpec tenant{.banned = true, .ban_reason = "unpaid bills"};
  ASSERT_TRUE(settle_ban({}, tenant, kNow));
  EXPECT_EQ(tenant.banned_at, kNow);
  ASSERT_TRUE(settle_ban(tenant, tenant, kLater));
  EXPECT_EQ(tenant.banned_at, kNow) << "the same ban";
  model::TenantSpec free;
  ASSERT_TRUE(settle_ban({}, free, kNow));
  EXPECT_FALSE(free.banned_at);
}

TEST(Ban, DoesNotEndBeforeItBegins) {
  model::TenantSpec tenant{.banned = true, .ban_reason = "unpaid bills", .banned_until = kNow};
  const base::Status refused = settle_ban({}, tenant, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "banned_until: must be in the future, not \"2026-11-22T12:00:00.000Z\"");
  tenant.banned_until = kLater;
  EXPECT_TRUE(settle_ban({}, tenant, kNow));
}

TEST(Ban, MayBeOverWhenNobodyTouchesIt) {
  const model::TenantSpec over{.banned = true, .ban_reason = "unpaid bills", .banned_until = kNow};
  model::TenantSpec tenant = over;
  EXPECT_TRUE(settle_ban(over, tenant, kLater));
}

TEST(Ban, WhatIsWrittenGoesOnOrBegins) {
  const model::TenantSpec written{.banned = true, .ban_reason = "unpaid bills", .banned_until = kLater};
  model::TenantSpec tenant = written;
  ASSERT_TRUE(settle_written_ban({}, tenant, kNow));
  EXPECT_EQ(tenant.banned_at, kNow);
  const model::TenantSpec before = tenant;
  tenant = written;
  ASSERT_TRUE(settle_written_ban(before, tenant, kNow + std::chrono::seconds(1)));
  EXPECT_EQ(tenant, before) << "nobody writes down when it began";

  tenant.banned_at.reset();
  tenant.banned_until = kNow;
  EXPECT_FALSE(settle_written_ban({}, tenant, kNow));
  tenant.banned_at = kNow - std::chrono::seconds(1);
  EXPECT_TRUE(settle_written_ban({}, tenant, kNow)) << "exported: it may be over";
}

TEST(Ban, LeavesNothingToTheNextOne) {
  model::TenantSpec tenant{
      .banned = true, .ban_reason = "unpaid bills", .banned_at = kNow, .banned_until = kLater};
  forget_ban(tenant);
  EXPECT_EQ(tenant, model::TenantSpec());
}

}  // namespace
}  // namespace penstock::catalog
