#include "cli/tenant_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "catalog/timestamp.h"
#include "cli/run_fixture.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class TenantCommands : public RunTest {
 protected:
  void SetUp() override { must({"tenant", "add", "blog", "--host", "db"}); }
};

TEST_F(TenantCommands, ANewBanHasNothingOfTheLastOne) {
  must({"tenant", "set", "blog", "--banned", "true", "--ban-reason", "one", "--banned-until",
        "2999-01-01T00:00:00Z"});
  EXPECT_TRUE(stored()->by_id("blog")->banned_at);
  must({"tenant", "set", "blog", "--banned", "false"});
  EXPECT_EQ(stored()->by_id("blog")->ban_reason, "");
  EXPECT_FALSE(stored()->by_id("blog")->banned_until);
  EXPECT_FALSE(stored()->by_id("blog")->banned_at);

  must({"tenant", "set", "blog", "--banned", "true", "--ban-reason", "two", "--banned-until",
        "2999-01-01T00:00:00Z"});
  EXPECT_EQ(penstock({"tenant", "set", "blog", "--banned", "true"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("ban_reason: must be given"));
  must({"tenant", "set", "blog", "--banned", "true", "--ban-reason", "three"});
  EXPECT_FALSE(stored()->by_id("blog")->banned_until);
  must({"tenant", "set", "blog", "--unset", "banned"});
  EXPECT_EQ(*stored()->by_id("blog"), (model::TenantSpec{.id = "blog", .hosts = {{"db", 5432}}}));
}

TEST_F(TenantCommands, ABanEndsInTheFuture) {
  const std::vector<std::string> ban = {"tenant", "set", "blog", "--banned", "true", "--ban-reason", "one"};
  std::vector<std::string> over = ban;
  over.insert(over.end(), {"--banned-until", "2020-01-01T00:00:00Z"});
  EXPECT_EQ(penstock(over), kMisused);
  EXPECT_THAT(terminal_.complaints, HasSubstr("banned_until: must be in the future"));
  must(ban);
  EXPECT_EQ(penstock({"tenant", "set", "blog", "--banned-until", "2020-01-01T00:00:00Z"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("banned_until: must be in the future"));
}

TEST_F(TenantCommands, TheListShowsBans) {
  must({"tenant", "set", "blog", "--banned", "true", "--ban-reason", "one"});
  must({"tenant", "list"});
  EXPECT_THAT(terminal_.written, HasSubstr("      yes\n"));
  must({"tenant", "set", "blog", "--banned-until", "2999-01-01T00:00:00Z"});
  must({"tenant", "list"});
  EXPECT_THAT(terminal_.written, HasSubstr("until 2999-01-01T00:00:00.000Z"));
}

TEST_F(TenantCommands, WhatCannotBeReadCanBeRemoved) {
  must({"tenant", "add", "acme", "--host", "db"});
  ASSERT_TRUE(catalog::SqliteDatabase::open({.path = file_})
                  ->run_script("UPDATE tenants SET record = '{' WHERE id = 'blog'"));
  EXPECT_EQ(penstock({"tenant", "list"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("tenants.blog: "));
  EXPECT_EQ(penstock({"tenant", "remove", "shop"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("tenant \"shop\" does not exist"));
  must({"tenant", "remove", "blog"});
  EXPECT_EQ(terminal_.written, "tenant \"blog\" removed\n");
  EXPECT_EQ(stored()->size(), 1u);
}

TEST_F(TenantCommands, TheHistoryTellsWhoItReallyWas) {
  for (const char* name : {"USER", "LOGNAME"}) environment_[name] = "mallory";
  must({"tenant", "set", "blog", "--pool-size", "3"});
  must({"catalog", "audit", "--limit", "1"});
  EXPECT_THAT(terminal_.written, HasSubstr("  ada  command line  "));
  environment_["SUDO_USER"] = "bob";
  must({"tenant", "set", "blog", "--pool-size", "4"});
  must({"catalog", "audit", "--limit", "1"});
  EXPECT_THAT(terminal_.written, HasSubstr("  bob (sudo ada)  command line  "));
}

}  // namespace
}  // namespace penstock::cli
