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
  const Document read = read_document(text);
  return read.mistakes.empty() ? "" : error_of(read.mistakes).message;
}

TenantEntry entry_of(std::string_view text) {
  const Document read = read_document(text);
  EXPECT_EQ(reason(text), "");
  return read.entries.empty() ? TenantEntry() : read.entries[0];
}

TEST(Document, IsReadBackInBothFormats) {
  for (const DocumentFormat format : {DocumentFormat::kYaml, DocumentFormat::kJson}) {
    const std::string text =
        write_document({acme(), {.id = "b", .hosts = {{.host = "x"}}}}, format, WithSecrets::kYes);
    const Document read = read_document(text);
    ASSERT_TRUE(read.mistakes.empty()) << reason(text) << "\n" << text;
    ASSERT_EQ(read.entries.size(), 2u);
    EXPECT_EQ(read.entries[0].spec, acme()) << text;
    EXPECT_EQ(merge(read.entries[0], nullptr), acme());
  }
}

TEST(Document, LeavesSecretsOutUnlessAsked) {
  const std::string text = write_document({acme()}, DocumentFormat::kYaml, WithSecrets::kNo);
  EXPECT_THAT(text, Not(HasSubstr("secret")));
  EXPECT_THAT(text, HasSubstr("- id: acme\n"));
}

TEST(Document, KeepsSecretsThatItDoesNotMention) {
  const TenantSpec stored = acme();
  TenantEntry entry = entry_of(write_document({acme()}, DocumentFormat::kYaml, WithSecrets::kNo));
  EXPECT_EQ(merge(entry, &stored), stored);

  entry = entry_of(
      "tenants:\n- id: acme\n  hosts: [db]\n  users:\n  - {name: app, secret: null}\n  - {name: new, secret: "
      "x}\n");
  const TenantSpec merged = merge(entry, &stored);
  ASSERT_EQ(merged.users.size(), 2u);
  EXPECT_FALSE(merged.users[0].secret) << "removed on purpose";
  EXPECT_EQ(merged.users[0].upstream_secret, "0123") << "not mentioned";
  EXPECT_EQ(merged.users[1].secret, "x");
  EXPECT_FALSE(merged.overrides.pool_size) << "a field that is left out is not set";

  entry = entry_of("[{\"id\": \"acme\", \"hosts\": [\"db\"]}]");
  EXPECT_EQ(merge(entry, &stored).users, stored.users) << "users are not mentioned";
  entry = entry_of("[{\"id\": \"acme\", \"hosts\": [\"db\"], \"users\": []}]");
  EXPECT_TRUE(merge(entry, &stored).users.empty());
}

TEST(Document, APreviousSecretGoesWithTheOneThatItGoesWith) {
  TenantSpec stored = acme();
  stored.users = {{.name = "app", .secret = "b", .previous_secret = "a"}};
  stored.users[0].previous_secret_until = model::WallTime(std::chrono::hours(1));
  const auto merged = [&](const char* text) { return merge(entry_of(text), &stored).users.at(0); };
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
  const TenantEntry entry = entry_of(
      R"([{"id":"acme","hosts":["db"],"users":[{"name":"app","secret":{"kind":"password"},"pool_size":3}]}])");
  const TenantSpec stored = acme();
  const TenantSpec merged = merge(entry, &stored);
  EXPECT_EQ(merged.users[0].secret, stored.users[1].secret);
  EXPECT_EQ(merged.users[0].overrides.pool_size, 3);
}

TEST(Document, IsRefusedWithTheReasonAndThePlace) {
  EXPECT_EQ(reason("tenants: 5"), "tenants: must be a list");
  EXPECT_EQ(reason("- hosts: [db]"), "tenants: \"id\" is missing");
  EXPECT_EQ(reason("- id: a b"),
            "tenants.a b.id: must be 1 to 63 characters: letters, digits, '_' and '-', not \"a b\"");
  EXPECT_EQ(reason("- {id: a, colour: red}"), "tenants.a: there is no field \"colour\"");
  EXPECT_EQ(read_document("- {id: a, pool_sise: 3}").mistakes.at(0).hint, "Did you mean \"pool_size\"?");
  EXPECT_THAT(reason("- {id: a, pool_size: many}"), HasSubstr("tenants.a.pool_size: must be a whole number"));
  EXPECT_EQ(reason("- {id: a, hosts: db}"), "tenants.a.hosts: must be a list");
  EXPECT_EQ(reason("- {id: a}\n- {id: a}"), "tenants.a: must be listed once, not twice");
  EXPECT_EQ(reason("- {id: a, users: [{name: u}, {name: u}]}"),
            "tenants.a.users.u: must be listed once, not twice");
  EXPECT_THAT(reason("- {id: a, users: [{name: u, secret: \"SCRAM-SHA-256$x\"}]}"),
              HasSubstr("tenants.a.users.u.secret: must be a password"));
  EXPECT_THAT(reason("tenants:\n- id: [x"), HasSubstr("line "));
  EXPECT_THAT(reason("- {id: a, id: b}"), HasSubstr("\"id\" is there twice"));
  EXPECT_THAT(reason("{\"tenants\": []"), HasSubstr("line "));
  EXPECT_EQ(reason("a: 1\n---\nb: 2\n"), "there is more than one document");
  EXPECT_TRUE(read_document("").entries.empty());
  EXPECT_TRUE(read_document("tenants:\n").entries.empty());
}

TEST(Document, TellsAllMistakesWithTheirLines) {
  const Document yaml = read_document(
      "tenants:\n"
      "- id: a\n"
      "  hosts: [db]\n"
      "  pool_size: many\n"
      "- id: b\n"
      "  hosts: [\"db:0\"]\n"
      "  users:\n"
      "  - name: u\n"
      "    colour: red\n"
      "    pool_mode: sometimes\n"
      "- id: b\n");
  std::vector<std::pair<int, std::string>> found;
  for (const Mistake& mistake : yaml.mistakes) found.emplace_back(mistake.line, mistake.path);
  EXPECT_THAT(found, testing::ElementsAre(
                         testing::Pair(4, "tenants.a.pool_size"), testing::Pair(6, "tenants.b.hosts"),
                         testing::Pair(9, "tenants.b.users.u"),
                         testing::Pair(10, "tenants.b.users.u.pool_mode"), testing::Pair(11, "tenants.b")));
  const Document json = read_document("[\n{\"id\": \"a\",\n\"pool_size\": -1}]");
  ASSERT_EQ(json.mistakes.size(), 1u);
  EXPECT_EQ(json.mistakes[0].line, 3);
}

TEST(Document, FollowsReferences) {
  const References references{
      .variable = [](const std::string& name) -> base::Result<std::string> {
        if (name == "PASSWORD") return "p$w: x";
        return base::fail(base::kInvalidParameterValue, name + " is not set");
      },
      .file = [](const std::string& path) -> base::Result<std::string> { return "from " + path; }};
  const Document read = read_document(
      "- id: a\n"
      "  hosts: [\"${PASSWORD}.example\", db]\n"
      "  default_parameters: {search_path: \"$${x}\"}\n"
      "  users:\n"
      "  - {name: one, secret: \"${PASSWORD}\"}\n"
      "  - {name: two, secret: {file: keys/two}}\n",
      references);
  EXPECT_EQ(read.mistakes.size(), 1u) << "a host has no blanks";
  ASSERT_EQ(read.entries.size(), 1u);
  EXPECT_EQ(read.entries[0].spec.default_parameters.at("search_path"), "${x}");
  EXPECT_EQ(read.entries[0].spec.users[0].secret, "p$w: x");
  EXPECT_EQ(read.entries[0].spec.users[1].secret, "from keys/two");

  const auto refused = [&](const std::string& text) {
    const Document document = read_document("- {id: a, upstream_database: '" + text + "'}", references);
    return document.mistakes.empty() ? std::string() : document.mistakes[0].to_string();
  };
  EXPECT_EQ(refused("x${NOTHING}"), "tenants.a.upstream_database: NOTHING is not set");
  EXPECT_THAT(refused("${"), HasSubstr("must begin a reference"));
  EXPECT_THAT(refused("${no name}"), HasSubstr("must begin a reference"));
  EXPECT_EQ(refused("$1 $$ {x}"), "");
}

TEST(Document, WithoutReferencesIsReadAsItWas) {
  TenantSpec tenant = acme();
  tenant.default_parameters = {{"a", "${X}"}, {"b", "$${X}"}, {"c", "$$"}, {"d", "${"}};
  const References references{
      .variable = [](const std::string&) -> base::Result<std::string> { return "wrong"; }};
  const auto document = without_references(document_of({tenant}, WithSecrets::kYes));
  const Document read = read_parsed_document(document, references);
  ASSERT_TRUE(read.mistakes.empty());
  EXPECT_EQ(read.entries.at(0).spec, tenant);
}

TEST(Document, IsTheSameAsJson) {
  const std::string_view text =
      "- {id: a, hosts: [db], banned: false, users: [{name: u, secret: null}, {name: v, secret: x}]}\n"
      "- {id: b, hosts: [db]}\n";
  const Document first = read_document(text);
  const Document second = read_parsed_document(json_of(first.entries));
  ASSERT_TRUE(second.mistakes.empty());
  ASSERT_EQ(second.entries.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(first.entries[i].spec, second.entries[i].spec);
    EXPECT_EQ(first.entries[i].told, second.entries[i].told);
    EXPECT_EQ(first.entries[i].told_secrets, second.entries[i].told_secrets);
    EXPECT_EQ(first.entries[i].tells_users, second.entries[i].tells_users);
  }
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
