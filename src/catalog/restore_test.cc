// SqliteStore::restore().
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "catalog/sqlite_store_test.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::acme;
using ::testing::HasSubstr;
using testing::load;

using RestoreTest = testing::SqliteStoreTest;

TEST_F(RestoreTest, WorksUnderARunningServer) {
  const std::string backup = directory_ / "backup.db";
  const auto server = open();
  ASSERT_TRUE(server->put_tenant(acme()));
  ASSERT_TRUE(server->back_up(backup));
  auto changed = acme();
  changed.overrides.pool_size = 41;
  ASSERT_TRUE(server->put_tenant(changed));
  ASSERT_TRUE(server->put_tenant({.id = "mistake", .hosts = {{.host = "db"}}}));
  auto known = load(*server);

  const auto count = SqliteStore::restore({.path = file_}, backup, {.name = "ada"});
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_EQ(*count, 1u);
  ASSERT_TRUE(*server->changed_since(known->version()));
  const auto fresh = *server->load(known);
  EXPECT_GT(fresh->version(), known->version());
  EXPECT_EQ(fresh->size(), 1u);
  EXPECT_EQ(*fresh->by_id("acme"), acme());
  EXPECT_EQ(fresh->revision_of("acme").number, fresh->version());
  EXPECT_EQ(fresh->by_database("shop"), fresh->by_id("acme"));
  EXPECT_EQ(server->audit()->at(0).action, "restore");
  EXPECT_EQ(server->audit()->size(), 4u) << "the history goes on";
  ASSERT_TRUE(server->put_tenant(changed));
}

// What a server that was killed has left in the write-ahead log is not played into what was restored.
TEST_F(RestoreTest, WorksAfterAServerWasKilled) {
  const std::string backup = directory_ / "backup.db";
  ASSERT_TRUE(open()->put_tenant(acme()));
  ASSERT_TRUE(open()->back_up(backup));
  for (const bool is_gone : {false, true}) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = open();
      for (int i = 0; i < 20; ++i) {
        auto other = acme();
        other.overrides.pool_size = i + 1;
        (void)store->put_tenant(other);
      }
      ::kill(::getpid(), SIGKILL);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ASSERT_EQ(::access((file_ + "-wal").c_str(), F_OK), 0);
    if (is_gone) ASSERT_EQ(::unlink(file_.c_str()), 0);
    const auto count = SqliteStore::restore({.path = file_}, backup, {});
    ASSERT_TRUE(count) << count.error().to_string();
    EXPECT_EQ(*load(*open())->by_id("acme"), acme());
    struct stat found{};
    ASSERT_EQ(::stat(file_.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600u);
  }
}

TEST_F(RestoreTest, LooksAtABackupFirst) {
  const std::string backup = directory_ / "backup.db";
  ASSERT_TRUE(open()->put_tenant(acme()));
  const auto refusal = [&] {
    const auto count = SqliteStore::restore({.path = file_}, backup, {});
    EXPECT_EQ(*load(*open())->by_id("acme"), acme());
    return count ? "restored" : count.error().message;
  };
  EXPECT_THAT(refusal(), HasSubstr("is no file"));
  std::ofstream(backup) << std::string(5000, 'x');
  EXPECT_THAT(refusal(), HasSubstr("is no SQLite database"));
  std::ofstream(backup, std::ios::trunc).close();
  EXPECT_THAT(refusal(), HasSubstr("is no catalog"));
  ASSERT_TRUE(SqliteDatabase::open({.path = backup})->run_script("CREATE TABLE tenants (id TEXT)"));
  EXPECT_THAT(refusal(), HasSubstr("is no catalog"));
  ::unlink(backup.c_str());

  ASSERT_TRUE(open()->back_up(backup));
  ASSERT_TRUE(
      SqliteDatabase::open({.path = backup})->run_script("UPDATE tenants SET record = '{\"newer\":1}'"));
  EXPECT_THAT(refusal(), HasSubstr("tenants.acme: the record has an unknown field"));
  ::unlink(backup.c_str());

  ASSERT_TRUE(open()->back_up(backup));
  std::fstream damage(backup, std::ios::in | std::ios::out | std::ios::binary);
  damage.seekp(4096);
  damage << std::string(20000, '\xff');
  damage.close();
  EXPECT_THAT(refusal(), HasSubstr("damaged"));
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    EXPECT_THAT(entry.path().string(), ::testing::Not(HasSubstr(".new-"))) << "nothing is left";
  }
}

}  // namespace
}  // namespace penstock::catalog
