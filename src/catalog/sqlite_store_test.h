// What tests of a catalog in a file stand on: a store in a directory of its own, and a tenant.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "catalog/sqlite_store.h"
#include "catalog/temporary_directory.h"

namespace penstock::catalog::testing {

inline model::TenantSpec acme() {
  model::TenantSpec tenant{.id = "acme",
                           .hosts = {{.host = "db"}},
                           .sni_names = {"PG.acme.example"},
                           .databases = {"shop"},
                           .users = {{.name = "app", .secret = "pw"}, {.name = "report", .secret = "pw2"}}};
  tenant.overrides.pool_size = 40;
  return tenant;
}

class SqliteStoreTest : public ::testing::Test {
 protected:
  base::Result<std::unique_ptr<SqliteStore>> try_open(SqliteStore::Options options = {.path = {}}) {
    if (options.path.empty()) options.path = file_;
    return SqliteStore::open(std::move(options));
  }
  std::unique_ptr<SqliteStore> open() {
    auto store = try_open();
    EXPECT_TRUE(store) << store.error().to_string();
    return store ? *std::move(store) : nullptr;
  }
  void sql(const std::string& script) {
    auto database = SqliteDatabase::open({.path = file_});
    ASSERT_TRUE(database);
    const base::Status status = database->run_script(script);
    ASSERT_TRUE(status) << status.error().to_string();
  }
  base::Error open_error(SqliteStore::Options options = {.path = {}}) {
    auto store = try_open(std::move(options));
    EXPECT_FALSE(store);
    return store ? base::Error{} : store.error();
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_ / "penstock.db";
};

inline model::SnapshotPtr load(Store& store) {
  auto snapshot = store.load();
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  return snapshot ? *snapshot : std::make_shared<model::CatalogSnapshot>(std::vector<model::TenantPtr>{});
}

}  // namespace penstock::catalog::testing
