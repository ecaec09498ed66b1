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

TenantPtr make(TenantSpec spec) {
  return std::make_shared<const TenantSpec>(std::move(spec));
}

TEST(CatalogSnapshot, AChangeLeavesTheSnapshotItWasMadeFromAlone) {
  const CatalogSnapshot before = two_tenants();
  const SnapshotPtr after =
      before.with({{.id = "acme",
                    .tenant = make({.id = "acme", .sni_names = {"new.acme.example"}}),
                    .revision = {.number = 8}},
                   {.id = "default", .tenant = nullptr},
                   {.id = "globex", .tenant = make({.id = "globex", .databases = {"shop"}})}},
                  8);
  EXPECT_EQ(after->version(), 8u);
  EXPECT_EQ(after->size(), 2u);
  EXPECT_EQ(after->by_sni("db.acme.example"), nullptr);
  EXPECT_EQ(after->by_sni("new.acme.example")->id, "acme");
  EXPECT_EQ(after->by_database("shop")->id, "globex") << "a name may move from one tenant to another";
  EXPECT_EQ(after->default_tenant(), nullptr);
  EXPECT_EQ(after->revision_of("acme").number, 8u);
  EXPECT_EQ(after->revision_of("default").number, 0u);

  EXPECT_EQ(before.by_database("shop")->id, "acme");
  EXPECT_EQ(before.default_tenant()->id, "default");
  EXPECT_EQ(before.tenants().size(), 2u);
  EXPECT_EQ(after->with({{.id = "default", .tenant = make({.id = "default"})}}, 9)->default_tenant()->id,
            "default");
}

TEST(CatalogSnapshot, TellsWhatDiffersHoweverManyThereAre) {
  std::vector<TenantPtr> tenants;
  for (int number = 0; number < 2000; ++number) tenants.push_back(make({.id = "t" + std::to_string(number)}));
  const CatalogSnapshot before(tenants);
  const SnapshotPtr after = before.with({{.id = "t7", .tenant = nullptr},
                                         {.id = "t77", .tenant = make({.id = "t77"})},
                                         {.id = "u", .tenant = make({.id = "u"})}},
                                        1);
  std::string differences;
  CatalogSnapshot::each_difference(before, *after,
                                   [&](const std::string& id, const TenantPtr& old, const TenantPtr& now) {
                                     differences += (old ? "" : "+") + id + (now ? " " : "- ");
                                   });
  EXPECT_EQ(differences, "t7- t77 +u ");
  EXPECT_EQ(after->size(), 2000u);
  EXPECT_EQ(before.size(), 2000u);
}

TEST(CatalogSnapshot, ManyChangesAreChangesToo) {
  const CatalogSnapshot before = two_tenants();
  std::vector<TenantChange> changes{{.id = "acme", .tenant = nullptr}};
  for (int number = 0; number < 1000; ++number) {
    const std::string id = "t" + std::to_string(number);
    changes.push_back({.id = id, .tenant = make({.id = id}), .revision = {.number = 9}});
  }
  const SnapshotPtr after = before.with(changes, 9);
  EXPECT_EQ(after->size(), 1001u);
  EXPECT_EQ(after->by_id("acme"), nullptr);
  EXPECT_EQ(after->by_database("shop"), nullptr);
  EXPECT_EQ(after->default_tenant()->id, "default");
  EXPECT_EQ(after->revision_of("t999").number, 9u);
}

TEST(CatalogSnapshot, LeadsToTheFirstMemberOfAClusterThatMayWrite) {
  const CatalogSnapshot snapshot({make({.id = "a", .cluster = "shop", .cluster_role = ClusterRole::kRead}),
                                  make({.id = "b", .cluster = "shop", .cluster_standby = true}),
                                  make({.id = "c", .cluster = "shop"}), make({.id = "d", .cluster = "shop"}),
                                  make({.id = "e", .cluster = "shops"})});
  EXPECT_EQ(snapshot.by_cluster("shop")->id, "c");
  EXPECT_EQ(snapshot.members_of("shop").size(), 4u);
  EXPECT_EQ(snapshot.by_cluster("shops")->id, "e");
  EXPECT_EQ(snapshot.by_cluster("sho"), nullptr);
  const SnapshotPtr fewer = snapshot.with({{.id = "c", .tenant = make({.id = "c"})}}, 1);
  EXPECT_EQ(fewer->by_cluster("shop")->id, "d");
}

TEST(CatalogSnapshot, KeepsItsLoginSecretThroughChanges) {
  const CatalogSnapshot snapshot({make({.id = "acme"})}, "acme", 1, {}, "secret");
  EXPECT_EQ(snapshot.login_secret(), "secret");
  EXPECT_EQ(snapshot.with({{.id = "b", .tenant = make({.id = "b"})}}, 2)->login_secret(), "secret");
  std::vector<TenantChange> many;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = "t" + std::to_string(i);
    many.push_back({.id = id, .tenant = make({.id = id})});
  }
  EXPECT_EQ(snapshot.with(many, 2)->login_secret(), "secret");
}

TEST(CatalogSnapshot, FindsUsersByTheirExactName) {
  const TenantPtr acme = two_tenants().by_id("acme");
  ASSERT_NE(CatalogSnapshot::find_user(*acme, "app"), nullptr);
  EXPECT_EQ(CatalogSnapshot::find_user(*acme, "App"), nullptr);
}

}  // namespace
}  // namespace penstock::model
