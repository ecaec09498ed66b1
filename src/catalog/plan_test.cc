#include "catalog/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TenantSpec tenant(std::string id) {
  TenantSpec spec{.id = std::move(id), .hosts = {{.host = "db"}}};
  spec.overrides.pool_size = 20;
  spec.users = {{.name = "app", .secret = "old secret"}, {.name = "spare", .secret = "x"}};
  return spec;
}

model::CatalogSnapshot snapshot(std::vector<TenantSpec> tenants) {
  std::vector<model::TenantPtr> list;
  model::TenantRevisions revisions;
  for (TenantSpec& spec : tenants) {
    revisions[spec.id] = {.number = 7};
    list.push_back(std::make_shared<const TenantSpec>(std::move(spec)));
  }
  return model::CatalogSnapshot(std::move(list), "default", 7, std::move(revisions));
}

Plan plan(const model::CatalogSnapshot& now, std::string_view text, Prune prune = Prune::kNo) {
  const Document document = read_document(text);
  EXPECT_TRUE(document.mistakes.empty()) << error_of(document.mistakes).message;
  return make_plan(now, document.entries, prune);
}

constexpr std::string_view kAcme =
    "- {id: acme, hosts: [db], pool_size: 20, users: [{name: app}, {name: spare}]}\n";

TEST(Plan, IsEmptyWhenAllIsAsTheDocumentsSay) {
  EXPECT_TRUE(plan(snapshot({tenant("acme")}), kAcme).is_empty());
  EXPECT_TRUE(plan(snapshot({tenant("acme")}), kAcme, Prune::kYes).is_empty());
}

TEST(Plan, RemovesNothingUnlessToldTo) {
  const auto now = snapshot({tenant("acme"), tenant("old")});
  const std::string_view text = "- {id: acme, hosts: [db], pool_size: 20, users: [{name: app}]}\n";
  const Plan careful = plan(now, text);
  EXPECT_TRUE(careful.is_empty());
  EXPECT_THAT(careful.strays, ElementsAre(Stray{"old"}, Stray{"acme", "spare"}));

  const Plan thorough = plan(now, text, Prune::kYes);
  EXPECT_THAT(thorough.strays, IsEmpty());
  ASSERT_EQ(thorough.changes.size(), 2u);
  Tenants tenants{{"acme", tenant("acme")}, {"old", tenant("old")}};
  apply_plan(thorough, tenants);
  ASSERT_EQ(tenants.size(), 1u);
  ASSERT_EQ(tenants.at("acme").users.size(), 1u);
  EXPECT_EQ(tenants.at("acme").users[0].secret, "old secret");
}

TEST(Plan, ShowsFieldsButNoSecrets) {
  const std::string text = boost::json::serialize(
      json_of(plan(snapshot({tenant("acme")}),
                   "- {id: acme, hosts: [db], pool_size: 40, users: [{name: app, secret: new secret, "
                   "pool_mode: session}]}\n"
                   "- {id: fresh, hosts: [db], users: [{name: u, secret: third secret}]}\n")));
  EXPECT_THAT(text, HasSubstr(R"({"field":"pool_size","action":"change","before":"20","after":"40"})"));
  EXPECT_THAT(text, HasSubstr(R"({"field":"secret","action":"change"})"));
  EXPECT_THAT(text, HasSubstr(R"({"field":"pool_mode","action":"add","after":"session"})"));
  EXPECT_THAT(text, HasSubstr(R"("action":"add","tenant":"fresh","revision":0)"));
  for (const char* secret : {"old secret", "new secret", "third secret"})
    EXPECT_THAT(text, Not(HasSubstr(secret)));
}

TEST(Plan, LeavesABanAloneUnlessTheDocumentsSpeakOfIt) {
  TenantSpec banned = tenant("acme");
  banned.banned = true;
  banned.ban_reason = "unpaid bills";
  EXPECT_TRUE(plan(snapshot({banned}), kAcme).is_empty());
  const Plan lifted =
      plan(snapshot({banned}),
           "- {id: acme, hosts: [db], pool_size: 20, banned: false, users: [{name: app}, {name: spare}]}\n");
  ASSERT_EQ(lifted.changes.size(), 1u);
  EXPECT_FALSE(lifted.changes[0].after->banned);
  EXPECT_EQ(lifted.changes[0].after->ban_reason, "");
  banned.banned_at = model::WallTime(std::chrono::seconds(1'700'000'000));
  EXPECT_TRUE(plan(snapshot({banned}),
                   "- {id: acme, hosts: [db], pool_size: 20, banned: true, ban_reason: unpaid bills, "
                   "users: [{name: app}, {name: spare}]}\n")
                  .is_empty())
      << "nobody writes down when it began";
}

TEST(Plan, DatesANewBanAndRefusesOneThatIsOver) {
  const std::string until = "- {id: acme, hosts: [db], banned: true, ban_reason: unpaid, banned_until: ";
  const Plan fresh = plan(snapshot({}), until + "\"2999-01-01T00:00:00Z\"}\n");
  EXPECT_THAT(fresh.problems, IsEmpty());
  ASSERT_EQ(fresh.changes.size(), 1u);
  EXPECT_TRUE(fresh.changes[0].after->banned_at);
  const Plan over = plan(snapshot({}), until + "\"2020-01-01T00:00:00Z\"}\n");
  ASSERT_EQ(over.problems.size(), 1u);
  EXPECT_EQ(over.problems[0].path, "tenants.acme.banned_until");
  EXPECT_THAT(over.problems[0].text, HasSubstr("must be in the future"));
}

TEST(Plan, TellsWhatIsWrongWithTheTenantsTogether) {
  TenantSpec other = tenant("other");
  other.sni_names = {"db.example.com"};
  const Plan found =
      plan(snapshot({other}),
           "- {id: a, hosts: [db], sni_names: [db.example.com], min_pool_size: 9, pool_size: 3}\n"
           "- {id: b}\n");
  std::vector<std::string> errors;
  for (const Problem& problem : found.problems) {
    if (problem.weight == Problem::Weight::kError) errors.push_back(problem.path);
  }
  EXPECT_THAT(errors, testing::UnorderedElementsAre("tenants.a.min_pool_size", "tenants.b.hosts",
                                                    "tenants.other.sni_names"));
}

TEST(Plan, KnowsTheRevisionsItWasMadeFrom) {
  const Plan found = plan(snapshot({tenant("acme"), tenant("same")}),
                          "- {id: acme, hosts: [elsewhere]}\n- {id: fresh, hosts: [db]}\n");
  EXPECT_THAT(revisions_of(found), ElementsAre(testing::Pair("acme", 7), testing::Pair("fresh", 0)));
}

}  // namespace
}  // namespace penstock::catalog
