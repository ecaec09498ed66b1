#include "catalog/tenant_fields.h"

#include <gtest/gtest.h>

#include <set>

#include "catalog/field_checks.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using model::UserSpec;

// A value each field takes, so that a new field without one fails the tests below.
Values sample(std::string_view name, FieldKind kind) {
  if (name == "hosts") return {"db.example.com:5432", "[2001:db8::1]:6000"};
  if (name == "auth_query") return {"select usename, passwd from pg_shadow where usename = $1"};
  if (name == "default_parameters") return {"application_name=x=y", "search_path=\"$user\", public"};
  if (name == "sni_names") return {"a.example.com", "b.example.com"};
  if (name == "pool_mode") return {"session"};
  if (name == "upstream_tls") return {"verify-full"};
  if (name == "auth_method") return {"md5"};
  if (name == "allow_list") return {"192.0.2.0/24", "2001:db8::/32"};
  if (name == "cluster_role") return {"read"};
  if (name == "ip_version") return {"v6"};
  if (name == "upstream_tls_ca") return {"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"};
  if (name == "jit_api_url") return {"https://example.com/check"};
  if (kind == FieldKind::kMap) return {"a=b", "c=d=e"};
  if (kind == FieldKind::kMoment) return {"2026-11-22T10:53:43.123Z"};
  if (kind == FieldKind::kInteger) return {"7"};
  if (kind == FieldKind::kBoolean) return {"true"};
  if (kind == FieldKind::kDuration) return {"90s"};
  return {"text"};
}

template <class Spec>
void expect_round_trip(const FieldTable<Spec>& table) {
  for (const Field<Spec>& field : table) {
    SCOPED_TRACE(field.name);
    Spec spec;
    EXPECT_TRUE(field.get(spec).empty()) << "a fresh spec has nothing set";
    const Values values = sample(field.name, field.kind);
    const base::Status status = set_field(field, spec, values);
    ASSERT_TRUE(status) << status.error().to_string();
    EXPECT_EQ(field.get(spec), values);
    EXPECT_NE(spec, Spec{});
    ASSERT_TRUE(set_field(field, spec, {}));
    EXPECT_EQ(spec, Spec{}) << "no values bring back the preset";
  }
}

TEST(TenantFields, AreReadBackAsTheyWereSetAndCanBeUnset) {
  expect_round_trip(tenant_fields());
}
TEST(UserFields, AreReadBackAsTheyWereSetAndCanBeUnset) {
  expect_round_trip(user_fields());
}

template <class Spec>
void expect_described(const FieldTable<Spec>& table) {
  std::set<std::string> options;
  for (const Field<Spec>& field : table) {
    EXPECT_FALSE(field.meaning.empty()) << field.name;
    EXPECT_FALSE(field.allowed.empty()) << field.name;
    EXPECT_FALSE(field.preset.empty()) << field.name;
    EXPECT_TRUE(options.insert(option_name(field.name)).second) << field.name;
    if (!field.short_option.empty()) EXPECT_TRUE(options.insert(field.short_option).second) << field.name;
  }
}

TEST(TenantFields, AreDescribedAndHaveOptionsOfTheirOwn) {
  expect_described(tenant_fields());
}
TEST(UserFields, AreDescribedAndHaveOptionsOfTheirOwn) {
  expect_described(user_fields());
}

// The error of setting a field, or "".
std::string refusal(std::string_view name, const Values& values) {
  TenantSpec tenant;
  const TenantField* field = find_field(tenant_fields(), name);
  EXPECT_NE(field, nullptr) << name;
  const base::Status status = set_field(*field, tenant, values);
  EXPECT_TRUE(status || tenant == TenantSpec{}) << "a refused value must change nothing";
  return status ? "" : status.error().message;
}

TEST(TenantFields, RefuseWithNameAllowedAndFound) {
  EXPECT_EQ(refusal("pool_size", {"0"}), "pool_size: must be a whole number, 1 to 100000, not \"0\"");
  EXPECT_EQ(refusal("pool_size", {"12x"}), "pool_size: must be a whole number, 1 to 100000, not \"12x\"");
  EXPECT_EQ(refusal("pool_mode", {"Session"}),
            "pool_mode: must be transaction, session or statement, not \"Session\"");
  EXPECT_EQ(refusal("require_tls", {"maybe"}), "require_tls: must be true or false, not \"maybe\"");
  EXPECT_EQ(
      refusal("query_timeout", {"30"}),
      "query_timeout: must be 0 (off) or a whole number with ms, s, min, h or d, up to 365d, not \"30\"");
  EXPECT_EQ(refusal("pool_size", {"1", "2"}), "pool_size: takes one value, not 2");
}

TEST(TenantFields, RefuseQueriesThatIgnoreTheUser) {
  EXPECT_NE(refusal("auth_query", {"select 1"}), "");
}

TEST(TenantFields, RefuseParametersThatAreOurs) {
  for (const char* text : {"user=x", "database=x", "options=-c a=b", "replication=on", "novalue", "=x",
                           "1a=x", "a b=x", "_pq_.x=1", "a=x\n"}) {
    EXPECT_NE(refusal("default_parameters", {text}), "") << text;
  }
}

TEST(TenantFields, RefuseNamesThatNoServerCanHave) {
  for (const char* text : {"", ".", "a..b", ".a", "a.", "a b", "ä.example"}) {
    EXPECT_NE(refusal("sni_names", {text}), "") << text;
  }
  EXPECT_NE(refusal("databases", {std::string(64, 'x')}), "");
  EXPECT_NE(refusal("databases", {"a\x01"}), "");
  EXPECT_NE(refusal("databases", {"\xff"}), "");
}

TEST(TenantFields, MakeWhatTheyRefusePrintable) {
  EXPECT_EQ(refusal("databases", {"a\n\xff"}),
            "databases: must be 1 to 63 bytes of printable UTF-8, not \"a??\"");
}

TEST(UserFields, NeverRepeatASecretTheyRefuse) {
  UserSpec user;
  const UserField* field = find_field(user_fields(), "secret");
  const base::Status status = set_field(*field, user, {"SCRAM-SHA-256$4096:hunter2"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().to_string().find("hunter2"), std::string::npos);
}

TEST(UserFields, ShowOnlyWhatKindASecretIs) {
  const UserField* field = find_field(user_fields(), "secret");
  UserSpec user;
  EXPECT_EQ(shown(*field, user), "");
  user.secret = "hunter2";
  EXPECT_EQ(shown(*field, user), "password");
  user.secret = "md5" + std::string(32, 'a');
  EXPECT_EQ(shown(*field, user), "md5 hash");
}

TEST(TenantIds, AreLettersDigitsUnderscoreAndHyphen) {
  EXPECT_TRUE(check_tenant_id("Acme_1-x"));
  EXPECT_TRUE(check_tenant_id(std::string(63, 'a')));
  for (const std::string& id :
       {std::string(), std::string("a.b"), std::string("a b"), std::string(64, 'a')}) {
    EXPECT_FALSE(check_tenant_id(id)) << id;
  }
}

TEST(TenantFields, RoutesBansLimitsAndFilesAreTheOperators) {
  std::set<std::string> whole, partly;
  for (const TenantField& field : tenant_fields()) {
    if (field.operators.covers == nullptr) continue;
    EXPECT_FALSE(field.operators.words.empty()) << field.name;
    (field.operators.covers("anything") ? whole : partly).insert(field.name);
  }
  for (const char* name : {"sni_names", "databases", "cluster", "cluster_role", "cluster_standby"}) {
    EXPECT_TRUE(whole.contains(name)) << name;
  }
  for (const TenantField& field : tenant_fields()) {
    const std::string_view name = field.name;
    if (name.starts_with("max_") || name.starts_with("ban") || name.ends_with("_per_second") ||
        name.ends_with("_file")) {
      EXPECT_TRUE(whole.contains(field.name)) << name;
    }
  }
  EXPECT_EQ(partly, std::set<std::string>{"hosts"});
  const TenantField& hosts = *find_field(tenant_fields(), "hosts");
  EXPECT_TRUE(hosts.operators.covers("/run/postgresql"));
  EXPECT_TRUE(hosts.operators.covers("@abstract"));
  EXPECT_FALSE(hosts.operators.covers("db.example.com:5432"));
}

}  // namespace
}  // namespace penstock::catalog
