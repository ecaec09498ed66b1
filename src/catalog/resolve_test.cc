#include "catalog/resolve.h"

#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using model::CatalogSnapshot;
using model::TenantSpec;

model::TenantPtr tenant(TenantSpec spec) {
  return std::make_shared<const TenantSpec>(std::move(spec));
}

CatalogSnapshot three_tenants(const std::string& default_tenant = "default") {
  return CatalogSnapshot({tenant({.id = "acme", .sni_names = {"pg.acme.example"}, .databases = {"shop"}}),
                          tenant({.id = "globex"}), tenant({.id = "default"})},
                         default_tenant);
}

// "tenant/user by rule", or "nobody".
std::string outcome(const CatalogSnapshot& snapshot, const ClientNames& names) {
  const auto resolved = resolve(snapshot, names);
  if (!resolved) return "nobody";
  return resolved->tenant->id + "/" + resolved->user + " by " + std::string(name_of(resolved->rule));
}

TEST(Resolve, TakesTheReferenceInOptionsFirst) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app.globex", .options = "reference=acme"}),
            "acme/app.globex by options");
}

TEST(Resolve, RefusesAReferenceThatNobodyHas) {
  const auto resolved =
      resolve(three_tenants(), {.user = "app.acme", .options = "reference=nope", .database = "shop"});
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().user, "app.acme");
  EXPECT_EQ(resolved.error().reason, "options name tenant \"nope\", which does not exist");
}

TEST(Resolve, SplitsTheUserAtItsLastDot) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app.acme"}), "acme/app by user suffix");
  EXPECT_EQ(outcome(three_tenants(), {.user = "first.last.acme"}), "acme/first.last by user suffix");
}

TEST(Resolve, KeepsADottedNameWholeWhenItsLastPartIsNoTenant) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "first.last"}), "default/first.last by default");
  EXPECT_EQ(outcome(three_tenants(), {.user = "first.last", .database = "shop"}),
            "acme/first.last by database");
  EXPECT_EQ(outcome(three_tenants(), {.user = "app."}), "default/app. by default");
}

TEST(Resolve, FindsTheMemberOfACluster) {
  const CatalogSnapshot snapshot({tenant({.id = "east", .cluster = "shop", .cluster_standby = true}),
                                  tenant({.id = "west", .cluster = "shop"}), tenant({.id = "shop"})});
  EXPECT_EQ(outcome(snapshot, {.user = "app.cluster.shop"}), "west/app by cluster");
  EXPECT_EQ(outcome(snapshot, {.user = "first.last.cluster.shop"}), "west/first.last by cluster");
  EXPECT_EQ(outcome(snapshot, {.user = "app.cluster.west"}), "west/app.cluster by user suffix");
  EXPECT_EQ(outcome(snapshot, {.user = ".cluster.shop"}), "shop/.cluster by user suffix");
  EXPECT_EQ(outcome(snapshot, {.user = "app.cluster.none"}), "nobody");
}

TEST(Resolve, DoesNotLeaveAnEmptyUser) {
  EXPECT_EQ(outcome(three_tenants(), {.user = ".acme"}), "default/.acme by default");
}

TEST(Resolve, PrefersTheUserSuffixToTheTlsServerName) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app.globex", .server_name = "pg.acme.example"}),
            "globex/app by user suffix");
}

TEST(Resolve, FindsAListedTlsServerNameInAnyCase) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app", .server_name = "PG.Acme.Example"}),
            "acme/app by TLS server name");
}

TEST(Resolve, TakesTheFirstLabelOfTheTlsServerNameAsId) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app", .server_name = "globex.db.example.com"}),
            "globex/app by TLS server name");
  EXPECT_EQ(outcome(three_tenants(), {.user = "app", .server_name = "GLOBEX.db.example.com"}),
            "globex/app by TLS server name");
  EXPECT_EQ(outcome(three_tenants(), {.user = "app", .server_name = "globex"}),
            "globex/app by TLS server name");
}

TEST(Resolve, PrefersTheTenantWhoseIdIsTheFirstLabelToTheOneThatLists) {
  const CatalogSnapshot snapshot(
      {tenant({.id = "acme", .sni_names = {"globex.example.com"}}), tenant({.id = "globex"})}, "");
  EXPECT_EQ(outcome(snapshot, {.user = "app", .server_name = "Globex.example.com"}),
            "globex/app by TLS server name");
}

TEST(Resolve, PrefersTheTlsServerNameToTheDatabase) {
  EXPECT_EQ(
      outcome(three_tenants(), {.user = "app", .server_name = "globex.example.com", .database = "shop"}),
      "globex/app by TLS server name");
}

TEST(Resolve, GoesOnWhenTheTlsServerNameLeadsNowhere) {
  EXPECT_EQ(
      outcome(three_tenants(), {.user = "app", .server_name = "pooler.example.com", .database = "shop"}),
      "acme/app by database");
}

TEST(Resolve, TellsDatabasesApartByCase) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app", .database = "Shop"}), "default/app by default");
}

TEST(Resolve, GivesPlainNamesToTheDefaultTenant) {
  EXPECT_EQ(outcome(three_tenants(), {.user = "app", .database = "other"}), "default/app by default");
}

TEST(Resolve, FindsNobodyWithoutADefaultTenant) {
  EXPECT_EQ(outcome(three_tenants(""), {.user = "app", .database = "other"}), "nobody");
  EXPECT_EQ(outcome(CatalogSnapshot({}, "default"), {.user = "app.acme"}), "nobody");
}

TEST(SplitOptions, TakesTheReferenceOutInEveryForm) {
  for (const char* options :
       {"reference=acme", "-c reference=acme", "-creference=acme", "--reference=acme"}) {
    const OptionsParts parts = split_options(options);
    EXPECT_EQ(parts.reference, "acme") << options;
    EXPECT_EQ(parts.rest, "") << options;
  }
}

TEST(SplitOptions, LeavesEverythingElseAsItWas) {
  const OptionsParts parts = split_options("-c search_path=a\\ b  reference=acme -c  x=reference=y");
  EXPECT_EQ(parts.reference, "acme");
  EXPECT_EQ(parts.rest, "-c search_path=a\\ b  -c  x=reference=y");
}

TEST(SplitOptions, DoesNotMistakeTheValueOfAnotherSettingForAReference) {
  const OptionsParts parts = split_options("-c application_name=x\\ reference=acme");
  EXPECT_EQ(parts.reference, "");
  EXPECT_EQ(parts.rest, "-c application_name=x\\ reference=acme");
}

TEST(SplitOptions, LetsTheLastReferenceCount) {
  const OptionsParts parts = split_options("reference=a -c x=1 reference=b");
  EXPECT_EQ(parts.reference, "b");
  EXPECT_EQ(parts.rest, " -c x=1");
}

TEST(SplitOptions, ReadsBackslashesInAReference) {
  EXPECT_EQ(split_options("reference=a\\cme").reference, "acme");
}

TEST(SplitOptions, EndsOnALonelyFlagOrBackslash) {
  EXPECT_EQ(split_options("-c").rest, "-c");
  EXPECT_EQ(split_options("x\\").rest, "x\\");
  EXPECT_EQ(split_options("").rest, "");
}

TEST(Resolve, WhatIsStatedIsTheSameForTenantsThatDoNotExist) {
  const auto stated = [](const ClientNames& names) {
    const Stated found = stated_names(names);
    return found.tenant + "/" + found.user;
  };
  EXPECT_EQ(stated({.user = "app.nope"}), "nope/app");
  EXPECT_EQ(stated({.user = "app", .options = "-c reference=nope"}), "nope/app");
  EXPECT_EQ(stated({.user = "app", .server_name = "NOPE.db.example.com"}), "nope/app");
  EXPECT_EQ(stated({.user = "app", .database = "shop"}), "database shop/app");
  EXPECT_EQ(stated({.user = ".nope", .database = "shop"}), "database shop/.nope");
}

}  // namespace
}  // namespace penstock::catalog
