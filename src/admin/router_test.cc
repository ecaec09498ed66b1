#include "admin/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/json_text.h"
#include "admin/problem.h"
#include "admin/schema.h"
#include "admin/tenant_json.h"

namespace penstock::admin {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

const std::string kSecret = "0123456789abcdef0123456789abcdef";

std::string token(auth::TokenWish wish) {
  const auto now = std::chrono::system_clock::now();
  wish.expires = now + 1h;
  return auth::make_token(kSecret, wish, now);
}

class RouterTest : public ::testing::Test {
 protected:
  http::Response ask(const std::string& method, const std::string& target, const std::string& bearer = {},
                     const std::string& body = {}) {
    http::Request request{.method = method, .target = target, .body = body, .peer = "10.0.0.1"};
    if (!bearer.empty()) request.headers.emplace_back("authorization", "Bearer " + bearer);
    http::Response response;
    router_.handle(std::move(request), [&](http::Response answer) { response = std::move(answer); });
    return response;
  }
  static Route echo(std::string_view method, std::string_view path, auth::Scope scope, bool filters = false) {
    return {.method = method,
            .path = path,
            .name = "echo",
            .scope = scope,
            .filters = filters,
            .query = {{"limit", "integer", "", 10}},
            .body = method == "PUT" ? "PutTenant" : "",
            .answers = {{200, "", "Result"}},
            .act = [](Call call) {
              std::string text;
              for (const auto& [name, value] : call.path) text += name + "=" + value + " ";
              call.answer({{"result", text}});
            }};
  }
  int per_second_ = 0;
  std::shared_ptr<auth::TokenRules> rules_ =
      std::make_shared<auth::TokenRules>(auth::TokenRules{.secrets = {kSecret}});
  Router router_{
      {echo("GET", "/open", auth::Scope::kNone), echo("GET", "/all", auth::Scope::kRead),
       echo("GET", "/list", auth::Scope::kRead, true), echo("GET", "/t/{external_id}", auth::Scope::kRead),
       echo("PUT", "/t/{external_id}", auth::Scope::kWrite)},
      [this] { return rules_; },
      [this] { return per_second_; }};
};

TEST_F(RouterTest, FindsRoutesAndTheirParts) {
  EXPECT_EQ(ask("GET", "/open").status, 200);
  EXPECT_EQ(ask("HEAD", "/open").status, 200);
  EXPECT_THAT(ask("GET", "/t/a%20b", token({})).body, HasSubstr("external_id=a b"));
  EXPECT_EQ(ask("GET", "/nowhere", token({})).status, 404);
  EXPECT_EQ(ask("GET", "/t/%ff", token({})).status, 400);
  EXPECT_EQ(ask("GET", "/t/../open", token({})).status, 400);
  const http::Response wrong = ask("DELETE", "/t/a", token({}));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_THAT(wrong.headers, ::testing::Contains(std::pair<std::string, std::string>("Allow", "GET, PUT")));
}

TEST(JsonText, IsUtf8WhateverNamesAreMadeOf) {
  const std::string text = json_text({{"database", "caf\xE9 \\"}, {"user", "\xC3\xA9"}});
  EXPECT_EQ(text, R"({"database":"caf\\xe9 \\","user":"é"})");
  EXPECT_EQ(json::parse(text).at("database").as_string(), R"(caf\xe9 \)");
}

TEST_F(RouterTest, SaysThatAChangeIsDoneWhenItIsDoneEverywhere) {
  std::vector<std::move_only_function<void()>> waiting;
  router_.settle = [&](std::move_only_function<void()> then) { waiting.push_back(std::move(then)); };
  EXPECT_EQ(ask("GET", "/t/a", token({})).status, 200) << "who only looks need not wait";
  EXPECT_EQ(ask("PUT", "/t/a", token({}), "{").status, 400) << "nor who is refused";
  ASSERT_TRUE(waiting.empty());
  http::Response response{.status = 0};
  http::Request request{.method = "PUT", .target = "/t/a", .body = R"({"tenant":{}})", .peer = "10.0.0.1"};
  request.headers.emplace_back("authorization", "Bearer " + token({}));
  router_.handle(std::move(request), [&](http::Response answer) { response = std::move(answer); });
  ASSERT_EQ(waiting.size(), 1U);
  EXPECT_EQ(response.status, 0);
  waiting.front()();
  EXPECT_EQ(response.status, 200);
}

TEST_F(RouterTest, AsksForATokenThatAllowsIt) {
  EXPECT_EQ(ask("GET", "/all").status, 403);
  EXPECT_EQ(ask("GET", "/all", "x.y.z").status, 403);
  EXPECT_EQ(ask("GET", "/all", token({.scope = "metrics"})).status, 403);
  EXPECT_EQ(ask("GET", "/all", token({.scope = "read"})).status, 200);
  EXPECT_EQ(ask("GET", "/all", token({.scope = "write"})).status, 200);
  EXPECT_EQ(ask("PUT", "/t/a", token({.scope = "read"}), R"({"tenant":{}})").status, 403);
  EXPECT_EQ(ask("PUT", "/t/a", token({.scope = "write"}), R"({"tenant":{}})").status, 200);
}

TEST_F(RouterTest, KeepsTokensOfTenantsToTheirTenants) {
  const std::string own = token({.tenants = {"a"}});
  EXPECT_EQ(ask("GET", "/t/a", own).status, 200);
  EXPECT_EQ(ask("GET", "/t/b", own).status, 403);
  EXPECT_EQ(ask("GET", "/list", own).status, 200);
  EXPECT_EQ(ask("GET", "/all", own).status, 403);
}

TEST_F(RouterTest, SaysWhenNobodyCouldHaveAToken) {
  rules_ = std::make_shared<auth::TokenRules>();
  EXPECT_THAT(ask("GET", "/all", token({})).body, HasSubstr("no key for tokens is configured"));
}

TEST_F(RouterTest, ChecksParametersAndBodies) {
  EXPECT_EQ(ask("GET", "/all?limit=10", token({})).status, 200);
  for (const char* limit : {"11", "-1", "x", "", "99999999999999999999"}) {
    EXPECT_EQ(ask("GET", std::string("/all?limit=") + limit, token({})).status, 422) << limit;
  }
  EXPECT_EQ(ask("PUT", "/t/a", token({}), "").status, 400);
  EXPECT_EQ(ask("PUT", "/t/a", token({}), "{").status, 400);
  EXPECT_EQ(ask("PUT", "/t/a", token({}), "\xff").status, 400);
  EXPECT_EQ(ask("PUT", "/t/a", token({}), std::string(10'000, '[')).status, 400);
  EXPECT_EQ(ask("PUT", "/t/a", token({}), "{}").status, 422);
  const http::Response wrong = ask("PUT", "/t/a", token({}), R"({"tenant":{"users":[{"db_user":7}]}})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_THAT(wrong.body, HasSubstr("tenant.users.0.db_user"));
}

TEST_F(RouterTest, NeverTakesADryRunForTheRealThing) {
  const std::string body = R"({"tenant":{}})";
  const http::Response refused = ask("PUT", "/t/a?dry_run=true", token({}), body);
  EXPECT_EQ(refused.status, 422) << "the route has none";
  EXPECT_THAT(refused.body, HasSubstr("no dry run"));
  EXPECT_EQ(ask("PUT", "/t/a?dry_run=1", token({}), body).status, 422);
  EXPECT_EQ(ask("PUT", "/t/a?dry_run=false", token({}), body).status, 200);
  const http::Response mistyped = ask("PUT", "/t/a?limt=7", token({}), body);
  EXPECT_EQ(mistyped.status, 422);
  EXPECT_THAT(mistyped.body, HasSubstr(R"("limt":["is not known; did you mean \"limit\"?"])"));
  EXPECT_EQ(ask("GET", "/all?limt=10", token({})).status, 422);
  EXPECT_EQ(ask("GET", "/open?cache=17").status, 200) << "checks of health come from everywhere";
  EXPECT_EQ(ask("PUT", "/t/a?_=17", token({}), body).status, 200) << "a cache buster";
  EXPECT_EQ(ask("GET", "/t/a?dry_run=true", token({})).status, 200) << "who looks changes nothing anyway";
}

TEST_F(RouterTest, TakesNoFieldThatItDoesNotKnow) {
  const http::Response beside = ask("PUT", "/t/a", token({}), R"({"tenant":{},"pool_size":3,"tenat":1})");
  EXPECT_EQ(beside.status, 422);
  EXPECT_THAT(beside.body, HasSubstr(R"("pool_size":["is not known here; it belongs in \"tenant\""])"));
  EXPECT_THAT(beside.body, HasSubstr(R"("tenat":["is not known; did you mean \"tenant\"?"])"));
}

TEST_F(RouterTest, LimitsTheRateOfAnAddress) {
  per_second_ = 1;
  int let_through = 0;
  for (int i = 0; i < 50; ++i) let_through += ask("GET", "/open").status == 200 ? 1 : 0;
  EXPECT_GE(let_through, 10);
  EXPECT_LE(let_through, 12);
}

TEST(Schema, NoBodyOfACallHasRoomForOthers) {
  for (const char* body :
       {"PutTenant", "PutUser", "PatchTenant", "PutCluster", "Credentials", "NetworkBanLift", "ApplyWish"}) {
    FieldErrors errors;
    check(schemas().at(body), json::value{{"zz", 1}}, "", errors);
    EXPECT_TRUE(errors.contains("zz")) << body;
  }
  FieldErrors errors;
  check(schemas().at("PutCluster"),
        json::parse(
            R"({"cluster": {"id": "1", "alias": "a", "active": true, "inserted_at": "x", "updated_at": "x",
          "cluster_tenants": [{"id": "1", "type": "write", "active": true, "cluster_alias": "a",
                               "tenant_external_id": "t", "inserted_at": "x", "updated_at": "x"}]}})"),
        "", errors);
  EXPECT_TRUE(errors.empty()) << "an answer may be sent back";
}

TEST(Schema, EveryReferenceLeadsSomewhere) {
  const std::string text = json::serialize(schemas());
  constexpr std::string_view kReference = R"("#/components/schemas/)";
  int count = 0;
  for (std::size_t at = text.find(kReference); at != std::string::npos; at = text.find(kReference, at + 1)) {
    const std::size_t begin = at + kReference.size();
    const std::string name = text.substr(begin, text.find('"', begin) - begin);
    EXPECT_TRUE(schemas().contains(name)) << name;
    ++count;
  }
  EXPECT_GT(count, 5);
}

model::TenantSpec applied(std::string_view wish, FieldErrors* errors = nullptr) {
  FieldErrors found;
  model::TenantSpec tenant{.id = "acme"};
  apply(json::parse({wish.data(), wish.size()}).as_object(), tenant, "tenant", found);
  if (errors != nullptr) {
    *errors = found;
  } else {
    EXPECT_TRUE(found.empty()) << found.begin()->first << ": " << found.begin()->second.front();
  }
  return tenant;
}

TEST(TenantJson, TakesWhatSupavisorsUsersSend) {
  const model::TenantSpec tenant = applied(R"({
    "db_host": "db.example", "db_port": 6543, "db_database": "postgres", "ip_version": "auto", "enforce_ssl": true,
    "require_user": false, "auth_query": "SELECT rolname, rolpassword FROM pg_authid WHERE rolname=$1",
    "upstream_ssl": true, "upstream_verify": "peer", "default_parameter_status": {"server_version": "15.6"},
    "default_pool_size": 15, "default_max_clients": 200, "sni_hostname": "acme.example", "client_idle_timeout": 5000,
    "allow_list": ["0.0.0.0/0", "::/0"], "use_jit": false, "feature_flags": {},
    "users": [{"db_user": "postgres", "db_password": "secret", "pool_size": 10, "mode_type": "transaction",
               "is_manager": true, "pool_checkout_timeout": 1000, "max_clients": null}]})");
  EXPECT_EQ(tenant.hosts, (std::vector<model::HostPort>{{"db.example", 6543}}));
  EXPECT_EQ(tenant.upstream_database, "postgres");
  EXPECT_TRUE(tenant.require_tls);
  EXPECT_EQ(tenant.upstream_tls, model::TlsMode::kVerifyFull);
  EXPECT_EQ(tenant.overrides.pool_size, 15);
  EXPECT_EQ(tenant.overrides.client_idle_timeout, 5000ms);
  EXPECT_EQ(tenant.sni_names, std::vector<std::string>{"acme.example"});
  EXPECT_EQ(tenant.auth_user, "postgres");
  ASSERT_EQ(tenant.users.size(), 1U);
  EXPECT_EQ(tenant.users[0].name, "postgres");
  EXPECT_EQ(tenant.users[0].secret, "secret");
  EXPECT_EQ(tenant.users[0].overrides.query_wait_timeout, 1000ms);
  EXPECT_EQ(tenant.users[0].upstream_user, "");
}

TEST(TenantJson, NeverTellsASecret) {
  const model::TenantSpec tenant = applied(
      R"({"db_host": "h", "users": [{"db_user": "u", "db_password": "very secret", "upstream_secret": "more secret"}]})");
  const std::string text = json::serialize(to_json(tenant));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("very secret")));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("more secret")));
  EXPECT_THAT(text, HasSubstr(R"("db_user":"u")"));
}

TEST(TenantJson, AnAliasIsTheNameAndTheUserTheRole) {
  const model::TenantSpec tenant = applied(
      R"({"db_host": "h", "users": [{"db_user": "role", "db_user_alias": "alias", "db_password": "x"}]})");
  EXPECT_EQ(tenant.users[0].name, "alias");
  EXPECT_EQ(tenant.users[0].upstream_user, "role");
}

TEST(TenantJson, NamesEveryMistakeByItsPath) {
  FieldErrors errors;
  applied(
      R"({"pool_size": 0, "nonsense": 1, "users": [{"pool_size": 1}, {"db_user": "u", "pool_mode": "x"}]})",
      &errors);
  EXPECT_TRUE(errors.contains("tenant.pool_size"));
  EXPECT_TRUE(errors.contains("tenant.nonsense"));
  EXPECT_TRUE(errors.contains("tenant.users.0.db_user"));
  EXPECT_TRUE(errors.contains("tenant.users.1.pool_mode"));
}

TEST(Problem, FollowsFromTheSqlstate) {
  EXPECT_EQ(problem(base::Error{.sqlstate = base::kInvalidParameterValue, .message = "tenants.a.hosts: none"})
                .status,
            422);
  EXPECT_THAT(
      problem(base::Error{.sqlstate = base::kInvalidParameterValue, .message = "tenants.a.hosts: none"}).body,
      HasSubstr(R"("errors":{"tenants.a.hosts":["none"]})"));
  EXPECT_EQ(problem(base::Error{.sqlstate = base::kIoError, .message = "disk full"}).status, 503);
  EXPECT_EQ(problem(base::Error{.sqlstate = base::kTransactionResolutionUnknown, .message = "lost"}).status,
            504)
      << "it may have been done";
  EXPECT_EQ(problem(base::Error{.sqlstate = base::kObjectNotInPrerequisiteState, .message = "taken"}).status,
            409);
}

}  // namespace
}  // namespace penstock::admin
