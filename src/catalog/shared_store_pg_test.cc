#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>

#include "catalog/open_store.h"
#include "catalog/shared_store.h"
#include "catalog/sqlite_store.h"
#include "catalog/temporary_directory.h"
#include "catalog/test_database.h"
#include "telemetry/log.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::Contains;
using testing::HasSubstr;

TenantSpec plain(std::string id, int pool_size = 5) {
  TenantSpec tenant{
      .id = std::move(id), .hosts = {{.host = "db"}}, .users = {{.name = "app", .secret = "pw"}}};
  tenant.overrides.pool_size = pool_size;
  return tenant;
}

bool within(std::chrono::milliseconds limit, const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class SharedStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestDatabase::is_there()) GTEST_SKIP() << "PENSTOCK_TEST_DATABASE_URL is not set";
    database_ = std::make_unique<TestDatabase>();
  }
  SharedStore::Options options() const {
    return {.postgres = {.url = database_->url(), .patience = std::chrono::seconds(3)},
            .copy_file = copy_,
            .poll_every = std::chrono::seconds(60)};
  }
  std::unique_ptr<SharedStore> open() {
    auto store = SharedStore::open(options());
    EXPECT_TRUE(store) << store.error().to_string();
    return store ? *std::move(store) : nullptr;
  }
  std::unique_ptr<PostgresStore> other_node() {
    auto store = PostgresStore::open({.url = database_->url()});
    EXPECT_TRUE(store) << store.error().to_string();
    return *std::move(store);
  }
  void go_down() {
    database_->admin("ALTER DATABASE " + database_->name() + " ALLOW_CONNECTIONS false");
    database_->admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" +
                     database_->name() + "'");
  }
  void come_back() { database_->admin("ALTER DATABASE " + database_->name() + " ALLOW_CONNECTIONS true"); }
  static bool is_there(SharedStore& store, const std::string& id) {
    const auto snapshot =
        store.load((*store.load(std::make_shared<model::CatalogSnapshot>(std::vector<model::TenantPtr>{}))));
    return (*snapshot)->by_id(id) != nullptr;
  }

  TemporaryDirectory directory_;
  std::string copy_ = directory_ / "copy.db";
  std::unique_ptr<TestDatabase> database_;
};

TEST_F(SharedStoreTest, SeesItsOwnChangesWhileAnotherTenantCannotBeRead) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("acme")));
  ASSERT_TRUE(store->put_tenant(plain("other")));
  ASSERT_TRUE(database_->connect().run_script(
      "UPDATE tenants SET record = '{', revision = revision + 1 WHERE id = 'other';"
      "UPDATE catalog SET version = version + 1; SELECT pg_notify('penstock_catalog', '')"));
  EXPECT_FALSE(store->load(nullptr)) << "asked to read anew, it says why it cannot";
  auto larger = plain("acme");
  larger.overrides.pool_size = 7;
  for (int round = 0; round < 2; ++round) {
    const base::Status done = store->put_tenant(larger);
    ASSERT_TRUE(done) << done.error().to_string();
    const auto known = std::make_shared<model::CatalogSnapshot>(std::vector<model::TenantPtr>{});
    EXPECT_EQ(*(*store->load(known))->by_id("acme"), larger);
    EXPECT_NE((*store->load(known))->by_id("other"), nullptr) << "as it was";
    larger.overrides.pool_size = 8;
    // The second time the watching thread knows, too.
    ASSERT_TRUE(within(std::chrono::seconds(5), [&] {
      const auto latest = *store->load(known);
      return !store->changed_since(latest->version());
    }));
  }
  ASSERT_TRUE(store->remove_tenant("other"));
  EXPECT_TRUE(within(std::chrono::seconds(5), [&] { return store->load(nullptr).has_value(); }));
}

TEST_F(SharedStoreTest, AServerDoesNotWaitLongForALock) {
  const auto store = open_store({.catalog = database_->url()}, {}, Opening::kServer);
  ASSERT_TRUE(store) << store.error().to_string();
  auto other = database_->connect();
  ASSERT_TRUE(other.begin(Database::Kind::kWrite));
  const auto start = std::chrono::steady_clock::now();
  const base::Status status = (*store)->put_tenant(plain("acme"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sqlstate, base::kIoError) << "as with a file";
  EXPECT_THAT(status.error().message, HasSubstr("is locked by another process"));
  other.rollback();
  EXPECT_TRUE((*store)->put_tenant(plain("acme")));
}

TEST_F(SharedStoreTest, SeesItsOwnChangesAtOnce) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("acme")));
  const auto snapshot = *store->load(*store->load());
  ASSERT_NE(snapshot->by_id("acme"), nullptr);
  EXPECT_FALSE(*store->changed_since(snapshot->version()));
  ASSERT_TRUE(store->remove_tenant("acme"));
  EXPECT_TRUE(*store->changed_since(snapshot->version()));
  EXPECT_THAT((*store->audit()).size(), 2u);
}

TEST_F(SharedStoreTest, LearnsOfChangesOfOtherNodesByNotification) {
  const auto store = open();
  std::atomic<int> woken{0};
  store->on_change([&] { ++woken; });
  const auto seen = (*store->load())->version();
  ASSERT_TRUE(within(std::chrono::seconds(2), [&] {  // its thread listens
    auto connection = database_->connect();
    return !connection
                .query(
                    "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR wait_event = 'ClientRead'")
                ->empty();
  }));
  ASSERT_TRUE(other_node()->put_tenant(plain("acme")));
  EXPECT_TRUE(within(std::chrono::seconds(2), [&] { return woken > 0; }));
  EXPECT_TRUE(*store->changed_since(seen));
  EXPECT_TRUE(is_there(*store, "acme"));
}

TEST_F(SharedStoreTest, NeverGoesBackWhileSeveralNodesChangeThings) {
  const auto store = open();
  std::atomic<bool> stop = false;
  std::thread elsewhere([&] {
    const auto other = other_node();
    for (int i = 0; !stop; ++i) ASSERT_TRUE(other->put_tenant(plain("theirs", 1 + i % 2)));
  });
  std::atomic<std::uint64_t> seen = 0;
  std::thread onlooker([&] {
    while (!stop) {
      const std::uint64_t version = *store->version();
      ASSERT_GE(version, seen) << "the newer state was there already";
      seen = version;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
    EXPECT_TRUE(store->put_tenant(plain("ours", 1 + i % 2)));
  }
  stop = true;
  elsewhere.join();
  onlooker.join();
  EXPECT_GT(seen, 10u);
}

TEST_F(SharedStoreTest, PollsWhenNotificationsDoNotCome) {
  auto slow = options();
  slow.poll_every = std::chrono::milliseconds(50);
  const auto store = *SharedStore::open(slow);
  ASSERT_TRUE(other_node()->put_tenant(plain("acme")));
  ASSERT_TRUE(within(std::chrono::seconds(2), [&] { return is_there(*store, "acme"); }));
  // A change past the store, without a notification.
  database_->connect().run_script("DELETE FROM tenants; UPDATE catalog SET version = version + 1");
  EXPECT_TRUE(within(std::chrono::seconds(2), [&] { return !is_there(*store, "acme"); }));
}

TEST_F(SharedStoreTest, KeepsItsStateWhileTheDatabaseIsDown) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("acme")));
  const auto seen = (*store->load(*store->load()))->version();
  go_down();
  ASSERT_TRUE(within(std::chrono::seconds(3), [&] { return !store->changed_since(seen); }));
  EXPECT_TRUE(is_there(*store, "acme"));
  const auto begun = std::chrono::steady_clock::now();
  const auto edited = store->put_tenant(plain("late"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(100))
      << "no waiting for what is down";
  ASSERT_FALSE(edited);
  EXPECT_THAT(edited.error().message, HasSubstr("catalog database \"127.0.0.1:"));
  come_back();
  EXPECT_TRUE(within(std::chrono::seconds(8), [&] { return store->changed_since(seen).has_value(); }));
  EXPECT_TRUE(store->put_tenant(plain("late")));
}

TEST_F(SharedStoreTest, StartsWithItsCopyWhenTheDatabaseIsOutOfReach) {
  const std::string key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
  auto sealed = options();
  sealed.postgres.keys = {.text = key};
  {
    const auto store = *SharedStore::open(sealed);
    ASSERT_TRUE(store->put_tenant(plain("acme", 7)));
    ASSERT_TRUE(store->put_tenant(plain("beta")));
    ASSERT_TRUE(within(std::chrono::seconds(8), [&] {
      auto file = SqliteStore::open({.path = copy_, .create = false, .keys = {.text = key}});
      if (!file) return false;
      const auto copied = (*file)->load();
      return copied && (*copied)->tenants().size() == 2;
    }));
  }
  auto dead = sealed;
  dead.postgres.url = "postgres://postgres@127.0.0.1:1/gone";
  std::vector<std::string> lines;
  telemetry::log::Options log_options;
  log_options.capture = [&](std::string_view line) { lines.emplace_back(line); };
  ASSERT_TRUE(telemetry::log::start(std::move(log_options)));
  auto store = SharedStore::open(dead);
  telemetry::log::stop();
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_THAT(lines, Contains(HasSubstr("starting with the local copy")));
  const auto snapshot = *(*store)->load();
  EXPECT_EQ(*snapshot->by_id("acme"), plain("acme", 7));
  EXPECT_GT(snapshot->revision_of("acme").number, 0u);
  const auto refused = (*store)->put_tenant(plain("late"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sqlstate, base::kConnectionFailure);

  dead.copy_file.clear();
  const auto without = SharedStore::open(dead);
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().message, HasSubstr("cannot be connected to"));
}

TEST_F(SharedStoreTest, FollowsItsCopyToWhatTheDatabaseHolds) {
  {
    const auto store = open();
    ASSERT_TRUE(store->put_tenant(plain("old")));
    ASSERT_TRUE(within(std::chrono::seconds(8), [&] {
      auto file = SqliteStore::open({.path = copy_, .create = false});
      return file && (*(*file)->load())->by_id("old") != nullptr;
    }));
  }
  ASSERT_TRUE(other_node()->remove_tenant("old"));
  ASSERT_TRUE(other_node()->put_tenant(plain("new")));
  go_down();
  const auto store = open();
  EXPECT_TRUE(is_there(*store, "old")) << "as the copy has it";
  EXPECT_FALSE(is_there(*store, "new"));
  come_back();
  EXPECT_TRUE(within(std::chrono::seconds(8), [&] { return is_there(*store, "new"); }));
  EXPECT_FALSE(is_there(*store, "old"));
  EXPECT_TRUE(within(std::chrono::seconds(8), [&] {
    auto file = SqliteStore::open({.path = copy_, .create = false});
    return file && (*(*file)->load())->by_id("old") == nullptr && (*(*file)->load())->by_id("new") != nullptr;
  }));
}

TEST_F(SharedStoreTest, RefusesTablesOfANewerPenstockAndMissingOnes) {
  auto no_migration = options();
  no_migration.postgres.migrate = Migrate::kNo;
  const auto missing = SharedStore::open(no_migration);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().hint, HasSubstr("penstock catalog migrate"));
  open();
  EXPECT_TRUE(SharedStore::open(no_migration));
  database_->connect().run_script("INSERT INTO migrations VALUES (99, 'from the future')");
  const auto newer = SharedStore::open(options());
  ASSERT_FALSE(newer);
  EXPECT_THAT(newer.error().message, HasSubstr("newer Penstock (schema 99"));
}

TEST_F(SharedStoreTest, CanBeOpenedByManyNodesForTheFirstTime) {
  std::atomic<int> opened{0};
  std::vector<std::thread> nodes;
  for (int i = 0; i < 6; ++i) {
    nodes.emplace_back([&, i] {
      auto store = PostgresStore::open({.url = database_->url()});
      const base::Status status =
          store ? (*store)->put_tenant(plain("t" + std::to_string(i))) : base::fail(store.error());
      EXPECT_TRUE(status) << status.error().to_string();
      if (status) ++opened;
    });
  }
  for (std::thread& node : nodes) node.join();
  EXPECT_EQ(opened, 6);
  EXPECT_EQ((*other_node()->load())->tenants().size(), 6u);
}

TEST_F(SharedStoreTest, DoesNotTellThePasswordOfItsUrl) {
  for (const char* url : {"postgres://u:pa:ss@w@rd@h:x/db", "postgres://user:s3cret@127.0.0.1:1/db"}) {
    const auto store = PostgresStore::open({.url = url});
    ASSERT_FALSE(store);
    EXPECT_THAT(store.error().to_string(), testing::Not(HasSubstr("s3cret")));
    EXPECT_THAT(store.error().to_string(), testing::Not(HasSubstr("ss@w")));
  }
}

TEST_F(SharedStoreTest, WaitsNoLongerThanItsPatience) {
  const auto store = other_node();
  auto blocker = database_->connect();
  ASSERT_TRUE(blocker.begin(Database::Kind::kWrite));
  auto impatient =
      *PostgresStore::open({.url = database_->url(), .patience = std::chrono::milliseconds(200)});
  const auto begun = std::chrono::steady_clock::now();
  const auto edited = impatient->put_tenant(plain("acme"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
  ASSERT_FALSE(edited);
  blocker.rollback();
  // It is used again, or connected again, for which a busy machine may need more than one patience.
  std::string refusal;
  EXPECT_TRUE(within(std::chrono::seconds(20), [&] {
    const base::Status again = impatient->put_tenant(plain("acme"));
    refusal = again ? "" : again.error().to_string();
    return again.has_value();
  })) << refusal;
}

TEST_F(SharedStoreTest, GoesOnAfterAWriteThatTheServerGaveUp) {
  const auto store = other_node();
  auto blocker = database_->connect();
  ASSERT_TRUE(blocker.begin(Database::Kind::kWrite));
  std::atomic<bool> answered = false;
  std::thread canceller([&] {
    while (!answered) {
      database_->admin(
          "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND " +
          ("datname = '" + database_->name() + "'"));
    }
  });
  const auto edited = store->put_tenant(plain("acme"));
  answered = true;
  canceller.join();
  ASSERT_FALSE(edited);
  EXPECT_EQ(edited.error().sqlstate, base::kQueryCanceled);
  blocker.rollback();
  const auto again = store->put_tenant(plain("acme"));
  EXPECT_TRUE(again) << again.error().to_string();
}

}  // namespace
}  // namespace penstock::catalog
