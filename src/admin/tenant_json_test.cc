#include "admin/tenant_json.h"

#include <gtest/gtest.h>

#include "admin/schema.h"

namespace penstock::admin {
namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::TlsMode;
using namespace std::chrono_literals;

TenantSpec sent_back(const TenantSpec& tenant) {
  json::object body = to_json(tenant);
  body["paused"] = false;
  body["revision"] = 7;
  FieldErrors errors;
  check(schemas().at("TenantWish"), body, "", errors);
  TenantSpec again = tenant;
  apply(body, again, "tenant", errors);
  for (const auto& [path, texts] : errors) ADD_FAILURE() << path << ": " << texts.front();
  return again;
}

TEST(TenantJson, AnAnswerThatIsSentBackChangesNothing) {
  for (const TlsMode tls : {TlsMode::kDisable, TlsMode::kAllow, TlsMode::kPrefer, TlsMode::kRequire,
                            TlsMode::kVerifyCa, TlsMode::kVerifyFull}) {
    const TenantSpec tenant{.id = "acme", .hosts = {{"db", 5432}}, .upstream_tls = tls};
    EXPECT_EQ(sent_back(tenant), tenant) << static_cast<int>(tls);
  }
  TenantSpec tenant{.id = "acme", .hosts = {{"a", 5432}, {"b", 5433}}, .sni_names = {"x.test", "y.test"}};
  tenant.overrides.pool_mode = model::PoolMode::kSession;
  tenant.overrides.pool_size = 7;
  tenant.auth_query = "SELECT a, b FROM c WHERE a = $1";
  tenant.auth_user = "manager";
  tenant.default_parameters = {{"search_path", "a,b"}};
  model::UserSpec user{.name = "app", .secret = "a password"};
  user.previous_secret = "an older one";
  user.overrides.query_wait_timeout = 1500ms;
  model::UserSpec other{.name = "alias", .upstream_user = "role"};
  other.overrides.pool_mode = model::PoolMode::kTransaction;
  tenant.users = {user, other, {.name = "manager"}};
  EXPECT_EQ(sent_back(tenant), tenant);

  json::object body = to_json(tenant, user);
  FieldErrors errors;
  check(schemas().at("UserWish"), body, "", errors);
  model::UserSpec again = user;
  apply(body, again, "user", errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(again, user);
}

TEST(TenantJson, OurNamesSayMoreThanSupavisors) {
  for (const char* wish :
       {R"({"upstream_ssl": true, "upstream_tls": "prefer"})",
        R"({"upstream_tls": "prefer", "upstream_ssl": true, "upstream_verify": "peer"})"}) {
    TenantSpec tenant{.id = "acme", .upstream_tls = TlsMode::kDisable};
    FieldErrors errors;
    apply(json::parse(wish).as_object(), tenant, "tenant", errors);
    EXPECT_EQ(tenant.upstream_tls, TlsMode::kPrefer) << wish;
  }
}

TEST(TenantJson, AFieldThatIsNotKnownIsRefusedWhateverItsValue) {
  const auto errors_of = [](const char* wish) {
    TenantSpec tenant{.id = "acme"};
    FieldErrors errors;
    apply(json::parse(wish).as_object(), tenant, "tenant", errors);
    return errors;
  };
  EXPECT_TRUE(errors_of(R"({"pool_sizee": 7})").contains("tenant.pool_sizee"));
  EXPECT_TRUE(errors_of(R"({"pool_sizee": null})").contains("tenant.pool_sizee"));
  EXPECT_TRUE(errors_of(R"({"users": [{"name": "app", "scret": null}]})").contains("tenant.users.0.scret"));
  EXPECT_TRUE(errors_of(R"({"availability_zone": null, "db_host": null, "sni_hostname": null})").empty())
      << "Supavisor's clients send these";
}

TEST(TenantJson, ASecretIsNoNumberAndNoOtherObject) {
  for (const char* wish : {R"({"secret": 5})", R"({"secret": {"x": 1}})", R"({"secret": ["x"]})"}) {
    FieldErrors errors;
    check(schemas().at("UserWish"), json::parse(wish), "", errors);
    EXPECT_TRUE(errors.contains("secret")) << wish;
  }
}

}  // namespace
}  // namespace penstock::admin
