// What holds for every store in an SQL database; each test runs on SQLite and on Postgres.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "catalog/postgres_store.h"
#include "catalog/sql_store.h"
#include "catalog/sqlite_store.h"
#include "catalog/temporary_directory.h"
#include "catalog/test_database.h"

namespace penstock::catalog {
namespace {

using model::TenantSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kOne = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr const char* kTwo = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

TenantSpec acme() {
  TenantSpec tenant{.id = "acme",
                    .hosts = {{.host = "db"}},
                    .sni_names = {"PG.acme.example"},
                    .databases = {"shop"},
                    .users = {{.name = "app", .secret = "top-secret"}, {.name = "report", .secret = "pw2"}}};
  tenant.overrides.pool_size = 40;
  return tenant;
}

TenantSpec plain(std::string id) {
  return {.id = std::move(id), .hosts = {{.host = "db"}}};
}

class SqlStoreTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "sqlite") return;
    if (!TestDatabase::is_there()) GTEST_SKIP() << "PENSTOCK_TEST_DATABASE_URL is not set";
    database_ = std::make_unique<TestDatabase>();
  }
  base::Result<std::unique_ptr<SqlStore>> try_open(const std::string& keys = {}) {
    const auto as_store = [](auto opened) -> base::Result<std::unique_ptr<SqlStore>> {
      if (!opened) return base::fail(opened.error());
      return *std::move(opened);
    };
    if (database_) return as_store(PostgresStore::open({.url = database_->url(), .keys = {.text = keys}}));
    return as_store(SqliteStore::open({.path = file_, .keys = {.text = keys}}));
  }
  std::unique_ptr<SqlStore> open(const std::string& keys = {}) {
    auto store = try_open(keys);
    EXPECT_TRUE(store) << store.error().to_string();
    return store ? *std::move(store) : nullptr;
  }
  // What stands in the store, past all code that hides it.
  std::string raw() {
    Database::Rows rows;
    if (database_) {
      auto connection = database_->connect();
      rows = *connection.query("SELECT record FROM users UNION ALL SELECT record FROM tenants");
    } else {
      auto connection = *SqliteDatabase::open({.path = file_});
      rows = *connection.query("SELECT record FROM users UNION ALL SELECT record FROM tenants");
    }
    std::string all;
    for (const Database::Row& row : rows) all += row[0] + "\n";
    return all;
  }
  void sql(const std::string& text) {
    const base::Status status = database_ ? database_->connect().run_script(text)
                                          : SqliteDatabase::open({.path = file_})->run_script(text);
    ASSERT_TRUE(status) << status.error().to_string();
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_ / "penstock.db";
  std::unique_ptr<TestDatabase> database_;
};

INSTANTIATE_TEST_SUITE_P(Stores, SqlStoreTest, testing::Values("sqlite", "postgres"),
                         [](const auto& info) { return info.param; });

model::SnapshotPtr load(Store& store, const model::SnapshotPtr& known = nullptr) {
  auto snapshot = store.load(known);
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  return snapshot ? *snapshot : std::make_shared<model::CatalogSnapshot>(std::vector<model::TenantPtr>{});
}

TEST_P(SqlStoreTest, KeepsTenantsAndUsersAcrossOpenings) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  const auto snapshot = load(*open());
  ASSERT_NE(snapshot->by_id("acme"), nullptr);
  EXPECT_EQ(*snapshot->by_id("acme"), acme());
  EXPECT_EQ(snapshot->by_sni("pg.ACME.example"), snapshot->by_id("acme"));
  ASSERT_TRUE(open()->remove_tenant("acme"));
  EXPECT_THAT(load(*open())->tenants(), IsEmpty());
  EXPECT_TRUE(open()->put_tenant(acme())) << "its names are free again";
}

TEST_P(SqlStoreTest, RefusesWhatItCouldNotReadAgain) {
  const auto store = open();
  TenantSpec tenant = plain("acme");
  ASSERT_TRUE(store->put_tenant(tenant));
  tenant.default_parameters["search_path"] = std::string(600'000, '"');  // twice as long in JSON
  const base::Status status = store->put_tenant(tenant);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sqlstate, base::kInvalidParameterValue);
  EXPECT_THAT(status.error().message, HasSubstr("tenants.acme.default_parameters: "));
  EXPECT_EQ(*load(*open())->by_id("acme"), plain("acme"));
}

TEST_P(SqlStoreTest, RemovesATenantThatCannotBeRead) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  ASSERT_TRUE(open()->put_tenant(plain("other")));
  for (const char* damage : {"UPDATE tenants SET record = '{\"newer\":1}' WHERE id = 'acme'",
                             "UPDATE users SET record = '{' WHERE tenant = 'acme'"}) {
    sql(damage);
    const auto store = open();
    ASSERT_FALSE(store->load());
    const auto leave = [](std::optional<TenantSpec>&) -> base::Status { return {}; };
    for (const Unreadable unreadable : {Unreadable::kRefused, Unreadable::kMayBeRemoved}) {
      const auto left = store->edit("acme", leave, {.unreadable = unreadable});
      ASSERT_FALSE(left);
      EXPECT_THAT(left.error().message, HasSubstr("tenants.acme"));
    }
    EXPECT_FALSE(store->remove_tenant("acme", {.expected_revision = 99}));
    const base::Status removed = store->remove_tenant("acme");
    ASSERT_TRUE(removed) << removed.error().to_string();
    EXPECT_EQ(load(*store)->tenants().size(), 1u);
    ASSERT_TRUE(store->put_tenant(acme())) << "its names are free again";
  }
}

TEST_P(SqlStoreTest, NoticesChangesOfOthers) {
  const auto server = open();
  const auto command = open();
  const auto seen = load(*server)->version();
  EXPECT_FALSE(*server->changed_since(seen));
  ASSERT_TRUE(command->put_tenant(acme()));
  EXPECT_TRUE(*server->changed_since(seen));
  EXPECT_FALSE(*server->changed_since(load(*server)->version()));
}

// --- revisions ---

TEST_P(SqlStoreTest, GivesEachChangeARevisionThatIsNeverUsedTwice) {
  const auto store = open();
  const auto set_size = [&](int size) {
    return store->edit("acme", [&](std::optional<TenantSpec>& tenant) -> base::Status {
      if (!tenant) tenant = acme();
      tenant->overrides.pool_size = size;
      return {};
    });
  };
  const auto first = set_size(1);
  ASSERT_TRUE(first) << first.error().to_string();
  const auto second = set_size(2);
  EXPECT_GT(second->revision.number, first->revision.number);
  EXPECT_EQ(second->revision.created_at, first->revision.created_at);
  EXPECT_EQ(load(*store)->revision_of("acme"), second->revision);
  EXPECT_EQ(set_size(2)->revision, second->revision) << "nothing has changed";
  ASSERT_TRUE(store->remove_tenant("acme"));
  EXPECT_EQ(load(*store)->revision_of("acme").number, 0u);
  EXPECT_GT(set_size(1)->revision.number, second->revision.number);
}

TEST_P(SqlStoreTest, ChangesOnlyTheExpectedRevision) {
  const auto store = open();
  const auto put = [&](int size, std::uint64_t expected) {
    return store->edit("acme",
                       [&](std::optional<TenantSpec>& tenant) -> base::Status {
                         tenant = acme();
                         tenant->overrides.pool_size = size;
                         return {};
                       },
                       {.expected_revision = expected});
  };
  EXPECT_EQ(put(1, 77).error().sqlstate, base::kSerializationFailure) << "there is none";
  const auto made = put(1, 0);
  ASSERT_TRUE(made);
  EXPECT_EQ(put(2, 0).error().message, "tenant \"acme\" exists already");
  ASSERT_TRUE(put(2, made->revision.number));
  const auto late = put(3, made->revision.number);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().sqlstate, base::kSerializationFailure);
  EXPECT_THAT(late.error().message, HasSubstr("has changed since revision"));
  EXPECT_EQ(load(*store)->by_id("acme")->overrides.pool_size, 2);
}

TEST_P(SqlStoreTest, ReadsOnlyWhatHasChanged) {
  const auto store = open();
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(store->put_tenant(plain(id)));
  const auto first = load(*store);
  auto changed = plain("b");
  changed.overrides.pool_size = 3;
  ASSERT_TRUE(open()->put_tenant(changed));
  ASSERT_TRUE(open()->remove_tenant("c"));
  ASSERT_TRUE(open()->put_tenant(plain("d")));
  sql("UPDATE tenants SET record = 'spoiled' WHERE id = 'a'");
  const auto second = load(*store, first);
  EXPECT_EQ(second->by_id("a"), first->by_id("a")) << "the same object, not read again";
  EXPECT_EQ(second->by_id("b")->overrides.pool_size, 3);
  EXPECT_EQ(second->by_id("c"), nullptr);
  EXPECT_NE(second->by_id("d"), nullptr);
  EXPECT_FALSE(store->load());
}

TEST_P(SqlStoreTest, DoesNotTakeARevisionForAnotherThatHadItsNumberBeforeARestore) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("a")));
  const auto first = load(*store);
  sql("DELETE FROM tenants; UPDATE catalog SET version = version - 1");
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  auto other = plain("a");
  other.overrides.pool_size = 3;
  ASSERT_TRUE(open()->put_tenant(other));
  const auto second = load(*store, first);
  ASSERT_EQ(second->revision_of("a").number, first->revision_of("a").number);
  EXPECT_EQ(second->by_id("a")->overrides.pool_size, 3);
}

TEST_P(SqlStoreTest, ReadsManyChangesAtOnce) {
  const auto store = open();
  ASSERT_TRUE(store->edit_all([](Tenants& tenants) -> base::Status {
    for (int i = 0; i < 100; ++i) {
      TenantSpec tenant = plain("t" + std::to_string(i));
      tenant.users = {{.name = "app", .secret = "pw" + std::to_string(i)}};
      tenants.emplace(tenant.id, tenant);
    }
    return {};
  }));
  const auto snapshot = load(*store);
  ASSERT_EQ(snapshot->tenants().size(), 100u);
  EXPECT_EQ(snapshot->by_id("t77")->users.at(0).secret, "pw77");
  EXPECT_TRUE(std::ranges::is_sorted(snapshot->tenants(), {}, &TenantSpec::id));
}

// --- several tenants at once ---

TEST_P(SqlStoreTest, ChangesAllTenantsOrNone) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("a")));
  ASSERT_TRUE(store->put_tenant(plain("b")));
  const auto version = *store->version();
  const auto failed = store->edit_all([](Tenants& tenants) -> base::Status {
    tenants.erase("a");
    tenants.at("b").overrides.pool_size = 9;
    tenants["c"] = TenantSpec{.id = "c"};  // no host
    return {};
  });
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("tenants.c.hosts"));
  EXPECT_EQ(*store->version(), version);
  EXPECT_EQ(load(*store)->tenants().size(), 2u);

  const auto done = store->edit_all([](Tenants& tenants) -> base::Status {
    tenants.erase("a");
    tenants.at("b").overrides.pool_size = 9;
    return {};
  });
  ASSERT_TRUE(done);
  ASSERT_EQ(done->size(), 2u);
  EXPECT_FALSE((*done)[0].after);
  EXPECT_EQ((*done)[1].after->overrides.pool_size, 9);
  EXPECT_EQ(load(*store)->tenants().size(), 1u);
}

TEST_P(SqlStoreTest, MovesANameFromOneTenantToAnother) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(acme()));
  ASSERT_TRUE(store->put_tenant(plain("beta")));
  const auto move = [&](Effect effect) {
    return store->edit_all(
        [](Tenants& tenants) -> base::Status {
          std::swap(tenants.at("acme").databases, tenants.at("beta").databases);
          return {};
        },
        {.effect = effect});
  };
  EXPECT_EQ(move(Effect::kDryRun)->size(), 2u);
  EXPECT_EQ(load(*store)->by_database("shop")->id, "acme");
  ASSERT_TRUE(move(Effect::kStored));
  EXPECT_EQ(load(*store)->by_database("shop")->id, "beta");
}

TEST_P(SqlStoreTest, ChecksADryRunAndChangesNothing) {
  const auto store = open();
  const auto version = *store->version();
  const auto tried = store->edit("acme",
                                 [](std::optional<TenantSpec>& tenant) -> base::Status {
                                   tenant = acme();
                                   return {};
                                 },
                                 {.effect = Effect::kDryRun});
  ASSERT_TRUE(tried);
  EXPECT_TRUE(tried->changed());
  EXPECT_EQ(*store->version(), version);
  EXPECT_THAT(*store->audit(), IsEmpty());
}

// --- the audit log ---

TEST_P(SqlStoreTest, BoundsEntriesAndPagesOfTheAuditLog) {
  const auto store = open();
  const auto fields_of = [](std::size_t count) {
    return std::vector<std::string>(count, std::string(50, 'x'));
  };
  for (const std::size_t count : {100, 250, 100}) {
    ASSERT_TRUE(store->note({.action = "lift-bans", .tenant = "acme", .fields = fields_of(count)}));
  }
  const auto all = *store->audit();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].fields, fields_of(100));
  ASSERT_EQ(all[1].fields.size(), 101u);
  EXPECT_EQ(all[1].fields.back(), "… and 150 more");

  const auto page = *store->audit({.bytes_max = 12'000});
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(store->audit({.before = page.back().number, .bytes_max = 1})->size(), 1u) << "one in any case";
}

TEST_P(SqlStoreTest, ReadsTheAuditLogInParts) {
  const auto store = open();
  for (int i = 0; i < 205; ++i) ASSERT_TRUE(store->note({.action = "pause", .tenant = i % 2 ? "a" : "b"}));
  EXPECT_EQ(store->audit({.limit = 1000})->size(), 205u);
  EXPECT_EQ(store->audit({.limit = 201})->size(), 201u);
  const auto of_one = *store->audit({.tenant = "a", .limit = 1000});
  ASSERT_EQ(of_one.size(), 102u);
  for (std::size_t i = 1; i < of_one.size(); ++i) EXPECT_GT(of_one[i - 1].number, of_one[i].number);
}

TEST_P(SqlStoreTest, RecordsWhoChangedWhat) {
  const auto store = open();
  const EditOptions by_ann{.actor = {.name = "ann", .origin = "192.0.2.7"}};
  ASSERT_TRUE(store->put_tenant(plain("other")));
  const auto made = store->edit(
      "acme",
      [](std::optional<TenantSpec>& tenant) -> base::Status {
        tenant = acme();
        return {};
      },
      by_ann);
  ASSERT_TRUE(made);
  ASSERT_TRUE(store->edit(
      "acme",
      [](std::optional<TenantSpec>& tenant) -> base::Status {
        tenant->overrides.pool_size = 1;
        tenant->users[0].secret = "changed-secret";
        tenant->users.erase(tenant->users.begin() + 1);
        return {};
      },
      by_ann));
  ASSERT_TRUE(store->remove_tenant("acme", by_ann));
  const auto entries = *store->audit({.tenant = "acme"});
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].action, "remove");
  EXPECT_EQ(entries[1].action, "change");
  EXPECT_THAT(entries[1].fields, ElementsAre("pool_size", "users.app.secret", "users.report"));
  EXPECT_EQ(entries[2].action, "create");
  EXPECT_EQ(entries[2].actor.name, "ann");
  EXPECT_EQ(entries[2].actor.origin, "192.0.2.7");
  EXPECT_EQ(entries[2].revision, made->revision.number);
  EXPECT_EQ(entries[2].at, made->revision.changed_at);
  EXPECT_EQ(store->audit()->size(), 4u);
  EXPECT_EQ(store->audit({.before = entries[1].number, .limit = 1})->at(0).number, entries[2].number);
}

TEST_P(SqlStoreTest, ForgetsTheOldestEntriesOfTheAuditLog) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("a")));
  ASSERT_TRUE(store->put_tenant(plain("b")));
  sql(database_ ? "ALTER TABLE audit ALTER COLUMN number RESTART WITH 100002"
                : "UPDATE audit SET number = 100001 WHERE tenant = 'b'");
  ASSERT_TRUE(store->remove_tenant("b"));
  const auto entries = *store->audit();
  ASSERT_FALSE(entries.empty());
  EXPECT_EQ(entries.back().tenant, "b") << "the first entry has gone";
}

TEST_P(SqlStoreTest, NotesOrdersWithoutANewVersion) {
  const auto store = open();
  ASSERT_TRUE(store->put_tenant(plain("a")));
  const std::uint64_t version = *store->version();
  const base::Status noted = store->note({.actor = {.name = "ann", .origin = "10.0.0.1"},
                                          .action = "pause",
                                          .tenant = "a",
                                          .fields = {"pools.app.shop"},
                                          .revision = 77});
  ASSERT_TRUE(noted) << noted.error().message;
  EXPECT_FALSE(*store->changed_since(version));
  const auto entries = *store->audit({.tenant = "a"});
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].action, "pause");
  EXPECT_EQ(entries[0].actor.name, "ann");
  EXPECT_EQ(entries[0].actor.origin, "10.0.0.1");
  EXPECT_THAT(entries[0].fields, ElementsAre("pools.app.shop"));
  EXPECT_EQ(entries[0].revision, 0U);
  EXPECT_GE(entries[0].at, entries[1].at);
  EXPECT_GT(entries[0].number, entries[1].number);
}

// --- sealed secrets ---

TEST_P(SqlStoreTest, SealsSecretsUnderTheKey) {
  ASSERT_TRUE(open(kOne)->put_tenant(acme()));
  EXPECT_THAT(raw(), Not(HasSubstr("top-secret")));
  EXPECT_THAT(raw(), HasSubstr("\"sealed\""));
  EXPECT_EQ(*load(*open(kOne))->by_id("acme"), acme());
  EXPECT_EQ(*open(kOne)->seals(), (SealReport{.sealed = 2}));
}

TEST_P(SqlStoreTest, StoresSecretsAsTheyAreWithoutAKey) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  EXPECT_THAT(raw(), HasSubstr("top-secret"));
  EXPECT_EQ(*open()->seals(), (SealReport{.plain = 2}));
  EXPECT_EQ(*load(*open(kOne))->by_id("acme"), acme()) << "a key that comes later changes nothing by itself";
}

TEST_P(SqlStoreTest, SaysWhichKeyIsMissing) {
  ASSERT_TRUE(open(kOne)->put_tenant(acme()));
  const auto keyless = open()->load();
  ASSERT_FALSE(keyless);
  EXPECT_EQ(keyless.error().sqlstate, base::kConfigFileError);
  EXPECT_THAT(keyless.error().message, HasSubstr("tenants.acme.users."));
  EXPECT_THAT(keyless.error().message, HasSubstr("no catalog key is configured"));
  const auto wrong = open(kTwo)->load();
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("is not among the catalog keys"));
  EXPECT_FALSE(try_open("rubbish"));
}

TEST_P(SqlStoreTest, ReadsUnderTwoKeysAndSealsAgainUnderTheFirst) {
  ASSERT_TRUE(open(kOne)->put_tenant(acme()));
  const std::string both = std::string(kTwo) + " " + kOne;
  const auto store = open(both);
  const auto before = load(*store);
  EXPECT_EQ(*before->by_id("acme"), acme());
  EXPECT_EQ(*store->seals(), (SealReport{.by_old_key = 2}));
  EXPECT_EQ(*store->rotate_key({.name = "ann"}), (SealReport{.by_old_key = 2}));
  EXPECT_EQ(*store->seals(), (SealReport{.sealed = 2}));
  EXPECT_EQ(*load(*open(kTwo))->by_id("acme"), acme()) << "the old key is not needed any more";
  EXPECT_FALSE(open(kOne)->load());
  EXPECT_EQ(store->audit()->at(0).action, "rotate-key");
  EXPECT_TRUE(*store->changed_since(before->version()));

  const auto version = *store->version();
  EXPECT_EQ(*store->rotate_key({}), (SealReport{.sealed = 2}));
  EXPECT_EQ(*store->version(), version) << "nothing to do";
}

TEST_P(SqlStoreTest, SealsWhatWasStoredBeforeThereWasAKey) {
  ASSERT_TRUE(open()->put_tenant(acme()));
  EXPECT_EQ(open()->rotate_key({}).error().message, "no catalog key is configured");
  ASSERT_TRUE(open(kOne)->rotate_key({}));
  EXPECT_THAT(raw(), Not(HasSubstr("top-secret")));
  EXPECT_EQ(*load(*open(kOne))->by_id("acme"), acme());
}

TEST_P(SqlStoreTest, RefusesASecretThatWasMovedToAnotherUser) {
  ASSERT_TRUE(open(kOne)->put_tenant(acme()));
  sql("UPDATE users SET record = (SELECT record FROM users WHERE name = 'app') WHERE name = 'report'");
  const auto snapshot = open(kOne)->load();
  ASSERT_FALSE(snapshot);
  EXPECT_THAT(snapshot.error().message, HasSubstr("tenants.acme.users.report: secret cannot be unsealed"));
}

TEST_P(SqlStoreTest, TakesNewKeysFromAFileThatChanges) {
  const std::string file = directory_ / "keys";
  std::ofstream(file) << kOne << "\n";
  const KeySource keys{.file = file};
  std::unique_ptr<SqlStore> store;
  if (database_) {
    store = *PostgresStore::open({.url = database_->url(), .keys = keys});
  } else {
    store = *SqliteStore::open({.path = file_, .keys = keys});
  }
  ASSERT_TRUE(open(kTwo)->put_tenant(acme()));
  EXPECT_FALSE(store->load());
  std::ofstream(file) << kOne << "\n" << kTwo << "\n";
  EXPECT_TRUE(store->load());
  ASSERT_EQ(std::remove(file.c_str()), 0);
  EXPECT_TRUE(store->load()) << "the keys it has still serve";
}

}  // namespace
}  // namespace penstock::catalog
