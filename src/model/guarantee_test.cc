#include "model/guarantee.h"

#include <gtest/gtest.h>

namespace penstock::model {
namespace {

TEST(Guarantee, SumsWhatUsersAreGuaranteed) {
  const TenantSpec tenant{.users = {{.name = "web", .guaranteed_pool_size = 3},
                                    {.name = "jobs"},
                                    {.name = "report", .guaranteed_pool_size = 2}}};
  EXPECT_EQ(guaranteed_to_all(tenant), 5);
  EXPECT_EQ(guaranteed_to(tenant, "web"), 3);
  EXPECT_EQ(guaranteed_to(tenant, "jobs"), 0);
  EXPECT_EQ(guaranteed_to(tenant, "unlisted"), 0);
}

TEST(Guarantee, IsOneForUsersWhoAreTheSameRole) {
  const TenantSpec tenant{.users = {{.name = "a", .upstream_user = "app", .guaranteed_pool_size = 3},
                                    {.name = "b", .upstream_user = "app", .guaranteed_pool_size = 4},
                                    {.name = "app", .guaranteed_pool_size = 1}}};
  EXPECT_EQ(guaranteed_to_all(tenant), 4);
  EXPECT_EQ(guaranteed_to(tenant, "app"), 4);
  EXPECT_EQ(guaranteed_to(tenant, "a"), 0);
}

}  // namespace
}  // namespace penstock::model
