#include "cli/catalog_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "cli/run_fixture.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;

class CatalogCommands : public RunTest {
 protected:
  void SetUp() override {
    must({"tenant", "add", "blog", "--host", "db"});
    must({"user", "add", "app", "--tenant", "blog", "--secret", "geheim"});
  }
};

TEST_F(CatalogCommands, RestoresABackup) {
  const std::string backup = directory_ / "backup.db";
  must({"catalog", "backup", backup});
  must({"tenant", "set", "blog", "--pool-size", "7"});
  must({"tenant", "add", "mistake", "--host", "db"});
  must({"catalog", "restore", backup});
  EXPECT_EQ(terminal_.written, "catalog restored from \"" + backup + "\": 1 tenant\n");
  EXPECT_EQ(stored()->size(), 1u);
  EXPECT_FALSE(stored()->by_id("blog")->overrides.pool_size);
  must({"catalog", "audit", "--limit", "1"});
  EXPECT_THAT(terminal_.written, HasSubstr("ada  command line  restore"));

  EXPECT_EQ(penstock({"catalog", "restore", directory_ / "nothing.db"}), kFailed);
  EXPECT_EQ(penstock({"catalog", "restore", "--catalog", "postgres://db/x", backup}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("has its own backups"));
}

TEST_F(CatalogCommands, AnImportedBanBeginsNowAndEndsLater) {
  const std::string document =
      "tenants: [{id: blog, hosts: [db], banned: true, ban_reason: x, banned_until: ";
  write("good.yaml", document + "\"2999-01-01T00:00:00Z\"}]\n");
  write("over.yaml", document + "\"2020-01-01T00:00:00Z\"}]\n");
  EXPECT_EQ(penstock({"catalog", "import", directory_ / "over.yaml"}), kFailed);
  EXPECT_THAT(terminal_.complaints, HasSubstr("tenants.blog.banned_until: must be in the future"));
  must({"catalog", "import", directory_ / "good.yaml"});
  EXPECT_TRUE(stored()->by_id("blog")->banned_at);
  must({"catalog", "import", directory_ / "good.yaml"});
  EXPECT_THAT(terminal_.written, HasSubstr("nothing changed"));
}

}  // namespace
}  // namespace penstock::cli
