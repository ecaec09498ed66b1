#include "model/catalog_snapshot.h"

#include <gtest/gtest.h>

namespace penstock::model {
namespace {

CatalogSnapshot two_tenants() {
  return CatalogSnapshot(
      {
          std::make_shared<TenantSpec>(TenantSpec{.id = "acme",
                                                  .sni_names = {"Db.Acme.example"},
                                                  .databases = {"shop"},
                                                  .users = {{.name = "app"}}}),
          std::make_shared<TenantSpec>(TenantSpec{.id = "default"}),
      },
      "default", 7);
}

TEST(CatalogSnapshot, FindsATenantByEverythingAClientCanNameItWith) {
  const CatalogSnapshot snapshot = two_tenants();
  EXPECT_EQ(snapshot.by_id("acme")->id, "acme");
  EXPECT_EQ(snapshot.by_sni("db.ACME.example")->id, "acme");
  EXPECT_EQ(snapshot.by_database("shop")->id, "acme");
  EXPECT_EQ(snapshot.default_tenant()->id, "default");
  EXPECT_EQ(snapshot.version(), 7u);
}

TEST(CatalogSnapshot, TellsIdsAndDatabasesApartByCase) {
  const CatalogSnapshot snapshot = two_tenants();
  EXPECT_EQ(snapshot.by_id("ACME"), nullptr);
  EXPECT_EQ(snapshot.by_database("Shop"), nullptr);
}

TEST(CatalogSnapshot, HasNoDefaultTenantUnlessOneHasThatId) {
  EXPECT_EQ(CatalogSnapshot({}, "default").default_tenant(), nullptr);
  EXPECT_EQ(CatalogSnapshot({}).default_tenant(), nullptr);
}

TEST(CatalogSnapshot, FindsUsersByTheirExactName) {
  const TenantPtr acme = two_tenants().by_id("acme");
  ASSERT_NE(CatalogSnapshot::find_user(*acme, "app"), nullptr);
  EXPECT_EQ(CatalogSnapshot::find_user(*acme, "App"), nullptr);
}

}  // namespace
}  // namespace penstock::model
