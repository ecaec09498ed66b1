#include "catalog/record.h"

#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using model::UserSpec;

TEST(Record, LeavesOutWhatIsNotSet) {
  EXPECT_EQ(record_of(TenantSpec{}), "{}");
  EXPECT_EQ(record_of(UserSpec{}), "{}");
}

TEST(Record, HasTypesAsJsonKnowsThem) {
  TenantSpec tenant{
      .hosts = {{.host = "db"}}, .require_tls = true, .default_parameters = {{"search_path", "a=b"}}};
  tenant.overrides.pool_size = 40;
  tenant.overrides.query_timeout = std::chrono::seconds(30);
  EXPECT_EQ(record_of(tenant),
            R"({"hosts":["db:5432"],"require_tls":true,"default_parameters":{"search_path":"a=b"},)"
            R"("pool_size":40,"query_timeout":"30s"})");
}

TEST(Record, IsReadBack) {
  TenantSpec tenant{.hosts = {{.host = "::1", .port = 1}, {.host = "/run/pg"}},
                    .upstream_database = "Ünïcode \"quoted\" \\",
                    .upstream_tls = model::TlsMode::kVerifyFull,
                    .databases = {"a,b", "c"},
                    .connect_query = "select\n1",
                    .default_parameters = {{"a", ""}, {"b", "x"}}};
  TenantSpec read;
  const base::Status status = from_record(record_of(tenant), read);
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(read, tenant);

  UserSpec user{.secret = "pass\"word", .auth_method = model::AuthMethod::kPeer};
  UserSpec read_user;
  ASSERT_TRUE(from_record(record_of(user), read_user));
  EXPECT_EQ(read_user, user);
}

TEST(Record, IsRefusedWithTheReason) {
  const auto reason = [](std::string_view text) {
    TenantSpec tenant;
    const base::Status status = from_record(text, tenant);
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(reason(""), "the record is no JSON object");
  EXPECT_EQ(reason("[]"), "the record is no JSON object");
  EXPECT_EQ(reason("{"), "the record is no JSON object");
  EXPECT_EQ(reason(R"({"colour":"red"})"), "the record has an unknown field \"colour\"");
  EXPECT_EQ(reason(R"({"hosts":"db"})"), "hosts: has a value of the wrong type");
  EXPECT_EQ(reason(R"({"pool_size":null})"), "pool_size: has a value of the wrong type");
  EXPECT_EQ(reason(R"({"pool_size":1.5})"), "pool_size: has a value of the wrong type");
  EXPECT_EQ(reason(R"({"pool_size":-1})"), "pool_size: must be a whole number, 1 to 100000, not \"-1\"");
  EXPECT_EQ(reason(std::string(kRecordBytesMax + 1, ' ')), "the record is too long");
}

TEST(PublicJson, DescribesSecretsInsteadOfTellingThem) {
  const TenantSpec tenant{.id = "acme",
                          .hosts = {{.host = "db"}},
                          .users = {{.name = "app", .secret = "hunter2", .upstream_secret = "hunter3"}}};
  const std::string text = public_json(tenant);
  EXPECT_EQ(text.find("hunter"), std::string::npos);
  EXPECT_EQ(text, R"({"id":"acme","hosts":["db:5432"],"users":[{"name":"app","secret":{"kind":"password"},)"
                  R"("upstream_secret":{"kind":"password"}}]})");
  EXPECT_EQ(public_json(tenant, tenant.users[0]).find("hunter"), std::string::npos);
  EXPECT_EQ(public_json(std::vector<TenantSpec>{tenant}), "[" + text + "]");
  EXPECT_EQ(
      public_json_of_users({tenant}),
      R"([{"tenant":"acme","name":"app","secret":{"kind":"password"},"upstream_secret":{"kind":"password"}}])");
}

}  // namespace
}  // namespace penstock::catalog
