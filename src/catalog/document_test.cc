#include "catalog/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "catalog/yaml.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::HasSubstr;
using testing::Not;

TenantSpec acme() {
  TenantSpec tenant{.id = "acme",
                    .hosts = {{.host = "db"}, {.host = "::1", .port = 6000}},
                    .databases = {"yes", "0x10", "null", "a: b", "- c", "#d", "ünï", " lead", "1e3"},
                    .require_tls = true,
                    .connect_query = "select\n1; -- \"x\"",
                    .default_parameters = {{"search_path", "\"$user\", public"}},
                    .users = {{.name = "123", .secret = "null"},
                              {.name = "app", .secret = "p'w\"\t\\", .upstream_secret = "0123"}}};
  tenant.overrides.pool_size = 40;
  tenant.overrides.query_timeout = std::chrono::seconds(30);
  return tenant;
}

std::string reason(std::string_view text) {
  const auto read = read_document(text);
  return read ? "" : read.error().message;
}

TEST(Document, IsReadBackInBothFormats) {
  for (const DocumentFormat format : {DocumentFormat::kYaml, DocumentFormat::kJson}) {
    const std::string text =
        write_document({acme(), {.id = "b", .hosts = {{.host = "x"}}}}, format, WithSecrets::kYes);
    const auto read = read_document(text);
    ASSERT_TRUE(read) << read.error().to_string() << "\n" << text;
    ASSERT_EQ(read->size(), 2u);
    EXPECT_EQ((*read)[0].spec, acme()) << text;
    EXPECT_EQ(merge((*read)[0], nullptr), acme());
  }
}

TEST(Document, LeavesSecretsOutUnlessAsked) {
  const std::string text = write_document({acme()}, DocumentFormat::kYaml, WithSecrets::kNo);
  EXPECT_THAT(text, Not(HasSubstr("secret")));
  EXPECT_THAT(text, HasSubstr("- id: acme\n"));
}

TEST(Document, KeepsSecretsThatItDoesNotMention) {
  const TenantSpec stored = acme();
  auto entry = read_document(write_document({acme()}, DocumentFormat::kYaml, WithSecrets::kNo));
  ASSERT_TRUE(entry);
  EXPECT_EQ(merge(entry->at(0), &stored), stored);

  entry = read_document(
      "tenants:\n- id: acme\n  hosts: [db]\n  users:\n  - {name: app, secret: null}\n  - {name: new, secret: "
      "x}\n");
  ASSERT_TRUE(entry) << entry.error().to_string();
  const TenantSpec merged = merge(entry->at(0), &stored);
  ASSERT_EQ(merged.users.size(), 2u);
  EXPECT_FALSE(merged.users[0].secret) << "removed on purpose";
  EXPECT_EQ(merged.users[0].upstream_secret, "0123") << "not mentioned";
  EXPECT_EQ(merged.users[1].secret, "x");
  EXPECT_FALSE(merged.overrides.pool_size) << "a field that is left out is not set";

  entry = read_document("[{\"id\": \"acme\", \"hosts\": [\"db\"]}]");
  EXPECT_EQ(merge(entry->at(0), &stored).users, stored.users) << "users are not mentioned";
  entry = read_document("[{\"id\": \"acme\", \"hosts\": [\"db\"], \"users\": []}]");
  EXPECT_TRUE(merge(entry->at(0), &stored).users.empty());
}

TEST(Document, APreviousSecretGoesWithTheOneThatItGoesWith) {
  TenantSpec stored = acme();
  stored.users = {{.name = "app", .secret = "b", .previous_secret = "a"}};
  stored.users[0].previous_secret_until = model::WallTime(std::chrono::hours(1));
  const auto merged = [&](const char* text) {
    const auto entry = read_document(text);
    EXPECT_TRUE(entry) << entry.error().to_string();
    return merge(entry->at(0), &stored).users.at(0);
  };
  const auto silent = merged("[{\"id\": \"acme\", \"hosts\": [\"db\"], \"users\": [{\"name\": \"app\"}]}]");
  EXPECT_EQ(silent, stored.users[0]) << "not mentioned: its end neither";
  const auto fresh = merged(
      "[{\"id\": \"acme\", \"hosts\": [\"db\"], \"users\": [{\"name\": \"app\", \"secret\": \"c\"}]}]");
  EXPECT_FALSE(fresh.previous_secret) << "a new secret ends the ones before";
  EXPECT_FALSE(fresh.previous_secret_until);
  const auto both = merged(
      "[{\"id\": \"acme\", \"hosts\": [\"db\"], \"users\": [{\"name\": \"app\", \"secret\": \"c\", "
      "\"previous_secret\": \"a\"}]}]");
  EXPECT_EQ(both.previous_secret, "a") << "as it is declared";
}

TEST(Document, TakesWhatShowsSecretsOnlyByTheirKind) {
  const auto entry = read_document(
      R"([{"id":"acme","hosts":["db"],"users":[{"name":"app","secret":{"kind":"password"},"pool_size":3}]}])");
  ASSERT_TRUE(entry) << entry.error().to_string();
  const TenantSpec stored = acme();
  const TenantSpec merged = merge(entry->at(0), &stored);
  EXPECT_EQ(merged.users[0].secret, stored.users[1].secret);
  EXPECT_EQ(merged.users[0].overrides.pool_size, 3);
}

TEST(Document, IsRefusedWithTheReasonAndThePlace) {
  EXPECT_EQ(reason("tenants: 5"), "tenants: must be a list");
  EXPECT_EQ(reason("- hosts: [db]"), "tenants: \"id\" is missing");
  EXPECT_EQ(reason("- id: a b"),
            "tenants.a b.id: must be 1 to 63 characters: letters, digits, '_' and '-', not \"a b\"");
  EXPECT_EQ(reason("- {id: a, colour: red}"), "tenants.a: there is no field \"colour\"");
  EXPECT_EQ(read_document("- {id: a, pool_sise: 3}").error().hint, "Did you mean \"pool_size\"?");
  EXPECT_THAT(reason("- {id: a, pool_size: many}"),
              HasSubstr("tenants.a: pool_size: must be a whole number"));
  EXPECT_EQ(reason("- {id: a, hosts: db}"), "tenants.a: hosts: has a value of the wrong type");
  EXPECT_EQ(reason("- {id: a}\n- {id: a}"), "tenants.a: must be listed once, not twice");
  EXPECT_EQ(reason("- {id: a, users: [{name: u}, {name: u}]}"),
            "tenants.a.users.u: must be listed once, not twice");
  EXPECT_THAT(reason("- {id: a, users: [{name: u, secret: \"SCRAM-SHA-256$x\"}]}"),
              HasSubstr("tenants.a.users.u: secret: must be a password"));
  EXPECT_THAT(reason("tenants:\n- id: [x"), HasSubstr("line "));
  EXPECT_THAT(reason("- {id: a, id: b}"), HasSubstr("\"id\" is there twice"));
  EXPECT_THAT(reason("{\"tenants\": []"), HasSubstr("line "));
  EXPECT_EQ(reason("a: 1\n---\nb: 2\n"), "there is more than one document");
  EXPECT_TRUE(read_document("")->empty());
  EXPECT_TRUE(read_document("tenants:\n")->empty());
}

TEST(Document, DoesNotExpandAliasesWithoutBound) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j == 0 ? "*a" : ",*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_EQ(reason(bomb), "the document is too large");
  EXPECT_THAT(reason(std::string(100, '[') + std::string(100, ']')), Not(""));
}

}  // namespace
}  // namespace penstock::catalog
