#include "catalog/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "catalog/sqlite_schema.h"
#include "catalog/sqlite_store_test.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using model::UserSpec;
using testing::acme;
using ::testing::HasSubstr;
using testing::load;
using testing::SqliteStoreTest;

TEST_F(SqliteStoreTest, CreatesAnEmptyCatalogThatOnlyItsOwnerMayRead) {
  const auto store = open();
  EXPECT_TRUE(load(*store)->tenants().empty());
  for (const std::string& name : {file_, file_ + "-wal"}) {
    struct stat found{};
    if (::stat(name.c_str(), &found) != 0) continue;
    EXPECT_EQ(found.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(SqliteStoreTest, KeepsTenantsAndUsersAcrossOpenings) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  const auto snapshot = load(*open());
  ASSERT_NE(snapshot->by_id("acme"), nullptr);
  EXPECT_EQ(*snapshot->by_id("acme"), acme());
  EXPECT_EQ(snapshot->by_sni("pg.ACME.example"), snapshot->by_id("acme"));
}

TEST_F(SqliteStoreTest, KnowsTheDefaultTenantByItsOptions) {
  auto store = *try_open({.path = {}, .default_tenant = "acme"});
  ASSERT_TRUE(store->put_tenant(acme()));
  ASSERT_NE(load(*store)->default_tenant(), nullptr);
  EXPECT_EQ(load(*store)->default_tenant()->id, "acme");
}

TEST_F(SqliteStoreTest, RaisesItsVersionWithEveryChangeAndOnlyThen) {
  const auto store = open();
  const auto first = *store->version();
  ASSERT_TRUE(store->put_tenant(acme()));
  const auto second = *store->version();
  EXPECT_GT(second, first);
  ASSERT_TRUE(store->put_tenant(acme()));
  EXPECT_EQ(*store->version(), second) << "nothing has changed";
  ASSERT_TRUE(store->remove_user("acme", "app"));
  EXPECT_GT(*store->version(), second);
}

TEST_F(SqliteStoreTest, NoticesItsOwnChangesAndThoseOfOthers) {
  const auto server = open();
  const auto command = open();
  auto seen = load(*server)->version();
  EXPECT_FALSE(*server->changed_since(seen));
  ASSERT_TRUE(command->put_tenant(acme()));
  EXPECT_TRUE(*server->changed_since(seen));
  seen = load(*server)->version();
  EXPECT_FALSE(*server->changed_since(seen));
  ASSERT_TRUE(server->put_user("acme", {.name = "new", .secret = "x"}));
  EXPECT_TRUE(*server->changed_since(seen));
  EXPECT_FALSE(*server->changed_since(load(*server)->version()));
}

TEST_F(SqliteStoreTest, AddsReplacesAndRemovesUsers) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(acme()));
  ASSERT_TRUE(store->put_user("acme", {.name = "zoe", .secret = "1"}, IfExists::kFail));
  ASSERT_TRUE(store->put_user("acme", {.name = "zoe", .secret = "2"}));
  ASSERT_TRUE(store->remove_user("acme", "app"));
  const auto tenant = load(*store)->by_id("acme");
  ASSERT_EQ(tenant->users.size(), 2u);
  EXPECT_EQ(tenant->users[0].name, "report");
  EXPECT_EQ(tenant->users[1].secret, "2");
}

TEST_F(SqliteStoreTest, RemovesATenantWithAllThatIsItsOwn) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(acme()));
  ASSERT_TRUE(store->remove_tenant("acme"));
  EXPECT_TRUE(load(*store)->tenants().empty());
  auto other = acme();
  other.id = "other";
  EXPECT_TRUE(store->put_tenant(other)) << "its server names and databases are free again";
}

TEST_F(SqliteStoreTest, SaysWhatIsMissingOrThereAlready) {
  const auto store = open();
  EXPECT_EQ(store->remove_tenant("acme").error().message, "tenant \"acme\" does not exist");
  EXPECT_EQ(store->put_user("acme", {.name = "x"}).error().message, "tenant \"acme\" does not exist");
  ASSERT_TRUE(store->put_tenant(acme()));
  EXPECT_EQ(store->put_tenant(acme(), IfExists::kFail).error().message, "tenant \"acme\" exists already");
  EXPECT_EQ(store->remove_user("acme", "x").error().message, "user \"x\" of tenant \"acme\" does not exist");
  EXPECT_EQ(store->put_user("acme", {.name = "app"}, IfExists::kFail).error().message,
            "user \"app\" of tenant \"acme\" exists already");
}

TEST_F(SqliteStoreTest, RefusesWhatIsNotValidAndChangesNothing) {
  const auto store = open();
  const auto version = *store->version();
  const base::Status status = store->put_tenant({.id = "acme"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sqlstate, base::kInvalidParameterValue);
  EXPECT_EQ(status.error().message, "tenants.acme.hosts: must name at least one host");
  EXPECT_EQ(*store->version(), version);
}

TEST_F(SqliteStoreTest, RefusesNamesThatLeadToAnotherTenant) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(acme()));
  auto other = acme();
  other.id = "other";
  other.sni_names = {"pg.ACME.example"};
  EXPECT_THAT(store->put_tenant(other).error().message,
              HasSubstr("tenants.other.sni_names: \"pg.acme.example\" already leads to tenant \"acme\""));
  other.sni_names.clear();
  EXPECT_THAT(store->put_tenant(other).error().message, HasSubstr("tenants.other.databases: \"shop\""));
  other.databases.clear();
  EXPECT_TRUE(store->put_tenant(other));
}

TEST_F(SqliteStoreTest, LeavesEverythingWhenAnEditFails) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(acme()));
  const auto status = store->edit("acme", [](std::optional<TenantSpec>& tenant) -> base::Status {
    tenant->users.clear();
    return base::fail(base::kInternalError, "changed my mind");
  });
  EXPECT_EQ(status.error().message, "changed my mind");
  EXPECT_EQ(*load(*store)->by_id("acme"), acme());
}

TEST_F(SqliteStoreTest, SaysWhenTheDirectoryIsMissing) {
  const base::Error error = open_error({.path = directory_ / "no/such/penstock.db"});
  EXPECT_EQ(error.sqlstate, base::kIoError);
  EXPECT_THAT(error.message, HasSubstr("cannot be created: No such file or directory"));
  EXPECT_THAT(error.hint, HasSubstr("directory must exist"));
}

TEST_F(SqliteStoreTest, SaysWhenThereIsNoFileAndNoneShallBeCreated) {
  const base::Error error = open_error({.path = {}, .create = false});
  EXPECT_EQ(error.sqlstate, base::kIoError);
  EXPECT_THAT(error.message, HasSubstr("cannot be found"));
}

TEST_F(SqliteStoreTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(file_) << "[databases]\napp = host=127.0.0.1\n" << std::string(1000, '#');
  const base::Error error = open_error();
  EXPECT_EQ(error.sqlstate, base::kConfigFileError);
  EXPECT_THAT(error.message, HasSubstr("is no SQLite database"));
}

TEST_F(SqliteStoreTest, RefusesADatabaseOfAnotherProgram) {
  std::ofstream(file_).close();
  sql("CREATE TABLE photos (name TEXT)");
  const base::Error error = open_error();
  EXPECT_EQ(error.sqlstate, base::kConfigFileError);
  EXPECT_THAT(error.message, HasSubstr("of another program"));
}

TEST_F(SqliteStoreTest, RefusesACatalogOfANewerPenstock) {
  open();
  sql("PRAGMA user_version = 99");
  const base::Error error = open_error();
  EXPECT_EQ(error.sqlstate, base::kConfigFileError);
  EXPECT_THAT(error.message, HasSubstr("newer Penstock (schema 99"));
}

TEST_F(SqliteStoreTest, SaysWhenTheFileIsDamaged) {
  {
    const auto store = open();
    for (int i = 0; i < 200; ++i) {
      auto tenant = acme();
      tenant.id = "t" + std::to_string(i);
      tenant.sni_names.clear();
      tenant.databases.clear();
      ASSERT_TRUE(store->put_tenant(tenant));
    }
  }
  std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(100'000, '\x5a');
  file.close();
  auto store = try_open();
  const auto snapshot = store ? (*store)->load() : base::fail(store.error());
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().sqlstate, base::kConfigFileError) << snapshot.error().to_string();
  EXPECT_THAT(snapshot.error().message, HasSubstr("is damaged"));
}

TEST_F(SqliteStoreTest, NamesTheRecordThatWasSpoiledByHand) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  sql("UPDATE users SET record = '{\"pool_size\":\"many\"}' WHERE name = 'app'");
  const auto snapshot = open()->load();
  ASSERT_FALSE(snapshot);
  EXPECT_THAT(snapshot.error().message,
              HasSubstr("tenants.acme.users.app: pool_size: must be a whole number"));
}

TEST_F(SqliteStoreTest, GivesUpOnALockAfterItsPatience) {
  open();
  auto other = SqliteDatabase::open({.path = file_});
  ASSERT_TRUE(other);
  ASSERT_TRUE(other->run_script("BEGIN EXCLUSIVE"));
  auto store = try_open({.path = {}, .patience = std::chrono::milliseconds(10)});
  ASSERT_TRUE(store) << "reading goes on";
  EXPECT_TRUE((*store)->load());
  const base::Status status = (*store)->put_tenant(acme());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sqlstate, base::kIoError);
  EXPECT_THAT(status.error().message, HasSubstr("locked by another process"));
  ASSERT_TRUE(other->run_script("ROLLBACK"));
  EXPECT_TRUE((*store)->put_tenant(acme()));
}

// As nobody, because root may write everywhere.
TEST_F(SqliteStoreTest, SaysWhenItMayNotWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  open();
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(9);
    auto store = try_open();
    const base::Status status = store ? (*store)->put_tenant(acme()) : base::fail(store.error());
    const bool is_clear = !status && status.error().sqlstate == base::kIoError &&
                          status.error().message.find("cannot be") != std::string::npos;
    ::_exit(is_clear ? 0 : 1);
  }
  int outcome = 0;
  ASSERT_EQ(::waitpid(child, &outcome, 0), child);
  EXPECT_EQ(outcome, 0);
}

TEST_F(SqliteStoreTest, FollowsAFileThatWasReplaced) {
  const auto server = open();
  ASSERT_TRUE(server->put_tenant(acme()));
  const auto seen = load(*server)->version();

  auto other = acme();
  other.id = "restored";
  ASSERT_TRUE((*SqliteStore::open({.path = directory_ / "backup.db"}))->put_tenant(other));
  ASSERT_EQ(::rename((directory_ / "backup.db").c_str(), file_.c_str()), 0);

  const auto changed = server->changed_since(seen);
  ASSERT_TRUE(changed) << changed.error().to_string();
  EXPECT_TRUE(*changed) << "although its version is the same number";
  EXPECT_NE(load(*server)->by_id("restored"), nullptr);
  EXPECT_FALSE(*server->changed_since(load(*server)->version()));
}

TEST_F(SqliteStoreTest, DoesNotTakeAChangeOfTheRestoredFileForItsOwnThatWasUndone) {
  const auto server = open();
  ASSERT_TRUE(server->put_tenant(acme()));
  ASSERT_TRUE(server->back_up(directory_ / "backup.db"));
  auto known = load(*server);
  auto mistake = acme();
  mistake.id = "mistake";
  mistake.sni_names = mistake.databases = {};
  ASSERT_TRUE(server->put_tenant(mistake));
  known = *server->load(known);
  ASSERT_NE(known->by_id("mistake"), nullptr);

  ASSERT_EQ(::rename((directory_ / "backup.db").c_str(), file_.c_str()), 0);
  known = *server->load(known);
  ASSERT_EQ(known->by_id("mistake"), nullptr);

  auto banned = acme();
  banned.banned = true;
  banned.ban_reason = "stolen";
  // By a command; the catalog has the same version again.
  const base::Status done = open()->put_tenant(banned);
  ASSERT_TRUE(done) << done.error().to_string();
  ASSERT_TRUE(*server->changed_since(known->version()));
  known = *server->load(known);
  EXPECT_EQ(known->by_id("mistake"), nullptr);
  EXPECT_TRUE(known->by_id("acme")->banned);
}

TEST_F(SqliteStoreTest, SaysWhenItsFileWasDeleted) {
  const auto server = open();
  const auto seen = load(*server)->version();
  ASSERT_EQ(::unlink(file_.c_str()), 0);
  const auto changed = server->changed_since(seen);
  ASSERT_FALSE(changed);
  EXPECT_THAT(changed.error().message, HasSubstr("cannot be found"));
}

TEST_F(SqliteStoreTest, DoesNotTakeAnEmptyFileForACatalogWithoutTenants) {
  const auto server = open();
  ASSERT_TRUE(server->put_tenant(acme()));
  const auto seen = load(*server)->version();
  std::ofstream(directory_ / "empty").close();
  ASSERT_EQ(::rename((directory_ / "empty").c_str(), file_.c_str()), 0);
  const auto replaced = server->changed_since(seen);
  ASSERT_FALSE(replaced);
  EXPECT_THAT(replaced.error().message, HasSubstr("is empty"));
  EXPECT_FALSE(server->load());
  EXPECT_THAT(open_error({.path = {}, .create = false}).message, HasSubstr("is empty"));
  EXPECT_THAT(open_error({.path = {}}).message, HasSubstr("is empty"))
      << "a restart would lose all tenants without a word";
}

TEST_F(SqliteStoreTest, NoticesThatItsFileWasTruncated) {
  const auto server = open();
  ASSERT_TRUE(server->put_tenant(acme()));
  const auto snapshot = load(*server);
  sql("PRAGMA wal_checkpoint(TRUNCATE)");
  ASSERT_EQ(::truncate(file_.c_str(), 0), 0);
  EXPECT_FALSE(server->changed_since(snapshot->version()));
  ASSERT_EQ(::truncate(file_.c_str(), 4096), 0);
  EXPECT_FALSE(server->load());
}

// Whoever creates the catalog may die at any moment: there is none then, or a whole one.
TEST_F(SqliteStoreTest, IsThereAsAWholeOrNotAtAll) {
  for (int round = 0; round < 30; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      (void)try_open();
      ::_exit(0);
    }
    ::usleep(round * 400);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    if (::access(file_.c_str(), F_OK) == 0) ASSERT_TRUE(try_open({.path = {}, .create = false})) << round;
    ASSERT_TRUE(try_open()) << round;
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((file_ + suffix).c_str());
  }
}

// A writer that is killed in the middle: the tenant is as before one of its edits or as after, never in
// between.
TEST_F(SqliteStoreTest, SurvivesAWriterThatIsKilled) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  for (int round = 0; round < 15; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = *try_open();
      for (int i = 0;; ++i) {
        (void)store->edit("acme", [&](std::optional<TenantSpec>& tenant) -> base::Status {
          tenant->overrides.pool_size = 1 + i;
          for (UserSpec& user : tenant->users) user.secret = std::to_string(1 + i);
          return {};
        });
      }
    }
    ::usleep(3000 + round * 1700);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const auto tenant = load(*open())->by_id("acme");
    ASSERT_NE(tenant, nullptr);
    if (tenant->users[0].secret == "pw") continue;  // killed before its first edit
    for (const UserSpec& user : tenant->users) {
      EXPECT_EQ(user.secret, std::to_string(*tenant->overrides.pool_size));
    }
  }
}

TEST_F(SqliteStoreTest, HasALoginSecretOfItsOwnThatStays) {
  const std::string secret = load(*open())->login_secret();
  EXPECT_GE(secret.size(), 32u);
  EXPECT_EQ(load(*open())->login_secret(), secret);
  TemporaryDirectory another;
  auto other = SqliteStore::open({.path = another / "penstock.db"});
  ASSERT_TRUE(other);
  EXPECT_NE(load(**other)->login_secret(), secret);
}

TEST_F(SqliteStoreTest, CanBeOpenedByManyProcessesForTheFirstTime) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = try_open();
      auto tenant = acme();
      tenant.id = "t" + std::to_string(i);
      tenant.sni_names.clear();
      tenant.databases.clear();
      base::Status put;
      if (store) put = (*store)->put_tenant(tenant);
      // Said by the child, as nobody else can.
      if (!store) std::fprintf(stderr, "%s\n", store.error().to_string().c_str());
      if (!put) std::fprintf(stderr, "%s\n", put.error().to_string().c_str());
      ::_exit(store && put ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int outcome = -1;
    ASSERT_EQ(::waitpid(child, &outcome, 0), child);
    EXPECT_EQ(outcome, 0);
  }
  EXPECT_EQ(load(*open())->tenants().size(), 8u);
}

}  // namespace
}  // namespace penstock::catalog
