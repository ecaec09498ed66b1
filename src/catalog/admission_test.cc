#include "catalog/admission.h"

#include <gtest/gtest.h>

#include "catalog/timestamp.h"

namespace penstock::catalog {
namespace {

const model::WallTime kNow = *parse_timestamp("2026-11-22T12:00:00Z");

TEST(Admission, LetsEverybodyInUnlessTold) {
  EXPECT_TRUE(admit({}, "192.0.2.1", kNow));
  EXPECT_TRUE(admit({}, "", kNow));
}

TEST(Admission, KnowsTheNetworksThatMayConnect) {
  const model::TenantSpec tenant{.allow_list = {"10.0.0.0/8", "2001:db8::/32"}};
  EXPECT_TRUE(admit(tenant, "10.255.0.1", kNow));
  EXPECT_TRUE(admit(tenant, "2001:db8::1", kNow));
  EXPECT_TRUE(admit(tenant, "", kNow)) << "a Unix socket";
  const base::Status status = admit(tenant, "192.0.2.1", kNow);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sqlstate, base::kInvalidAuthorization);
  EXPECT_EQ(status.error().message, "connections from address \"192.0.2.1\" are not allowed");
}

TEST(Admission, RefusesClientsOfABannedTenantUntilTheBanEnds) {
  model::TenantSpec tenant{.banned = true, .ban_reason = "unpaid bills"};
  EXPECT_EQ(admit(tenant, "", kNow).error().message, "tenant is banned: unpaid bills");
  tenant.banned_until = kNow + std::chrono::hours(1);
  EXPECT_EQ(refuse_banned(tenant, kNow).error().detail, "The ban ends at 2026-11-22T13:00:00.000Z.");
  EXPECT_TRUE(refuse_banned(tenant, kNow + std::chrono::hours(1)));
  tenant.banned = false;
  EXPECT_TRUE(admit(tenant, "", kNow));
}

}  // namespace
}  // namespace penstock::catalog
