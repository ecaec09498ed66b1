#include "catalog/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "catalog/bounds.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TenantSpec good() {
  return {.id = "acme", .hosts = {{.host = "db"}}, .users = {{.name = "app", .secret = "pw"}}};
}

std::vector<std::string> paths(const std::vector<Problem>& problems) {
  std::vector<std::string> result;
  for (const Problem& problem : problems) {
    result.push_back((problem.weight == Problem::Weight::kWarning ? "warning " : "") + problem.path);
  }
  return result;
}

std::vector<std::string> paths_of(const TenantSpec& tenant) {
  return paths(problems_of(tenant));
}

TEST(Validate, FindsNothingWrongWithAGoodTenant) {
  EXPECT_THAT(paths_of(good()), IsEmpty());
}

TEST(Validate, DemandsAnIdAndAHost) {
  EXPECT_THAT(paths_of({.id = "a b"}), ElementsAre("tenants.a b.id", "tenants.a b.hosts"));
}

TEST(Validate, ChecksWhatTheFieldsHold) {
  TenantSpec tenant = good();
  tenant.overrides.pool_size = 0;
  tenant.users[0].upstream_user = std::string(64, 'x');
  tenant.hosts[0].host = "a b";
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.hosts", "tenants.acme.pool_size",
                                            "tenants.acme.users.app.upstream_user"));
}

TEST(Validate, BoundsWhatIsStored) {
  TenantSpec tenant = good();
  for (int i = 0; i < 100; ++i) tenant.default_parameter_status["flag" + std::to_string(i)] = "x";
  tenant.default_parameters["search_path"] = std::string(4000, 'x');
  EXPECT_THAT(paths_of(tenant), IsEmpty());
  tenant.default_parameter_status["one_more"] = "x";
  tenant.default_parameters["search_path"] = std::string(5000, 'x');
  for (int i = 0; i < 1001; ++i) tenant.databases.push_back("d" + std::to_string(i));
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.databases", "tenants.acme.default_parameters",
                                            "tenants.acme.default_parameter_status"));
}

// Each field within its bounds; as JSON a control character takes six bytes.
TEST(Validate, BoundsARecordAsAWhole) {
  TenantSpec tenant = good();
  tenant.connect_query = std::string(64 * 1024, '\1');
  EXPECT_THAT(paths_of(tenant), IsEmpty());
  tenant.upstream_tls_ca = "-----BEGIN CERTIFICATE-----" + std::string(60 * 1024, '\1');
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.connect_query"));
  EXPECT_GT(record_of(tenant).size(), kStoredBytesMax);
}

TEST(Validate, RefusesToGuaranteeMoreThanThereIs) {
  TenantSpec tenant = good();
  tenant.users[0].guaranteed_pool_size = 3;
  EXPECT_THAT(paths_of(tenant), IsEmpty()) << "without a limit of the tenant there is enough for all";
  tenant.overrides.max_upstreams = 3;
  EXPECT_THAT(paths_of(tenant), IsEmpty());
  tenant.overrides.max_upstreams = 2;
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.max_upstreams"));
  tenant.overrides.max_upstreams = 0;
  EXPECT_THAT(paths_of(tenant), IsEmpty());
}

TEST(Validate, WantsCertificateAndKeyTogether) {
  TenantSpec tenant = good();
  tenant.upstream_tls_cert_file = "/c.pem";
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.upstream_tls_key_file"));
  tenant.upstream_tls_cert_file.clear();
  tenant.upstream_tls_key_file = "/k.pem";
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.upstream_tls_cert_file"));
}

TEST(Validate, WarnsWhenTheAuthUserIsNotListedYet) {
  TenantSpec tenant = good();
  tenant.auth_query = "select $1";
  EXPECT_THAT(paths_of(tenant), ElementsAre("warning tenants.acme.auth_user"));
  tenant.auth_user = "app";
  EXPECT_THAT(paths_of(tenant), IsEmpty());
  tenant.users[0].secret.reset();
  EXPECT_THAT(paths_of(tenant), ElementsAre("warning tenants.acme.auth_user"));
}

TEST(Validate, RefusesAMinimumAboveTheSize) {
  TenantSpec tenant = good();
  tenant.overrides.pool_size = 5;
  tenant.overrides.min_pool_size = 6;
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.min_pool_size"));
}

TEST(Validate, RefusesAVerifierAsUpstreamSecret) {
  TenantSpec tenant = good();
  tenant.users[0].upstream_secret =
      "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  EXPECT_THAT(paths_of(tenant), ElementsAre("tenants.acme.users.app.upstream_secret"));
}

TEST(Validate, WarnsOfUsersWhoCannotLogIn) {
  TenantSpec tenant = good();
  tenant.users[0].secret.reset();
  EXPECT_THAT(paths_of(tenant), ElementsAre("warning tenants.acme.users.app.secret"));
  tenant.auth_method = model::AuthMethod::kTrust;
  EXPECT_THAT(paths_of(tenant), IsEmpty());
  tenant = good();
  tenant.users[0].secret = "md5" + std::string(32, 'a');
  EXPECT_THAT(paths_of(tenant), ElementsAre("warning tenants.acme.users.app.secret"));
  tenant.users[0].auth_method = model::AuthMethod::kMd5;
  EXPECT_THAT(paths_of(tenant), IsEmpty());
}

TEST(Validate, RefusesRepeatedNames) {
  TenantSpec tenant = good();
  tenant.sni_names = {"a.example", "A.EXAMPLE"};
  tenant.databases = {"shop", "shop"};
  tenant.users.push_back(tenant.users[0]);
  EXPECT_THAT(paths_of(tenant),
              ElementsAre("tenants.acme.sni_names", "tenants.acme.databases", "tenants.acme.users.app"));
}

TEST(Validate, FindsNamesThatLeadToTwoTenants) {
  TenantSpec acme = good();
  acme.sni_names = {"pg.example"};
  acme.databases = {"shop"};
  TenantSpec globex = acme;
  globex.id = "globex";
  globex.sni_names = {"PG.example"};
  const auto shared = [](const TenantSpec& spec) { return std::make_shared<const TenantSpec>(spec); };
  EXPECT_THAT(paths(problems_of(model::CatalogSnapshot({shared(acme), shared(globex)}))),
              ElementsAre("tenants.globex.sni_names", "tenants.globex.databases"));
}

TEST(Validate, TurnsErrorsIntoOneAndLeavesWarningsOut) {
  EXPECT_TRUE(refuse_errors({}));
  const Problem warning{.path = "w", .text = "odd", .weight = Problem::Weight::kWarning};
  EXPECT_TRUE(refuse_errors({warning}));
  const base::Status status =
      refuse_errors({warning, {.path = "a", .text = "one"}, {.path = "b", .text = "two"}});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "a: one");
  EXPECT_EQ(status.error().detail, "b: two.");
}

}  // namespace
}  // namespace penstock::catalog
