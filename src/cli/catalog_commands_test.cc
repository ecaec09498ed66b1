#include "cli/catalog_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

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
  static unsigned mode_of(const std::string& path) {
    struct stat found{};
    EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
    return found.st_mode & 0777;
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

// It holds secrets: who could read what stood there before must not be able to read it.
TEST_F(CatalogCommands, AnExportIsReadableForItsOwnerOnly) {
  for (const char* name : {"fresh.yaml", "old.yaml", "link.yaml"}) {
    const std::string file = directory_ / name;
    if (name != std::string("fresh.yaml")) write("old.yaml", "before");
    if (name == std::string("link.yaml")) std::filesystem::create_symlink("old.yaml", file);
    ASSERT_EQ(name == std::string("fresh.yaml") ? 0 : ::chmod(file.c_str(), 0644), 0);
    std::ifstream reader(file);
    must({"catalog", "export", "--with-secrets", "--output", file});
    EXPECT_EQ(mode_of(file), 0600u) << name;
    std::string seen;
    std::getline(reader, seen, '\0');
    EXPECT_EQ(seen.find("geheim"), std::string::npos) << "by somebody who had it open";
  }
  EXPECT_TRUE(std::filesystem::is_symlink(directory_ / "link.yaml"));
  EXPECT_EQ(penstock({"catalog", "export", "--output", directory_ / "no/such/folder"}), kFailed);
  must({"catalog", "export", "--output", "/dev/null"});
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
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
