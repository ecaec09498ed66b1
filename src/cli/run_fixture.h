// A catalog of a test's own, and the program's commands on it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "catalog/sqlite_store.h"
#include "catalog/temporary_directory.h"
#include "cli/fake_terminal.h"
#include "cli/run.h"

namespace penstock::cli {

inline config::LoadOptions served;
inline int fake_serve(const config::LoadOptions& options) {
  served = options;
  return 7;
}

class RunTest : public testing::Test {
 protected:
  // Runs `penstock words…` on the test's catalog.
  int penstock(std::vector<std::string> words) {
    terminal_.written.clear();
    terminal_.complaints.clear();
    return run(std::move(words),
               {.terminal = terminal_, .environment = environment_, .serve = &fake_serve, .user = "ada"});
  }
  void must(std::vector<std::string> words) {
    ASSERT_EQ(penstock(std::move(words)), kDone) << terminal_.written << terminal_.complaints;
  }
  model::SnapshotPtr stored() {
    auto store = catalog::SqliteStore::open({.path = file_, .create = false});
    EXPECT_TRUE(store);
    return *(*store)->load();
  }
  const model::UserSpec* stored_user(const std::string& tenant, const std::string& name) {
    kept_ = stored();
    return model::CatalogSnapshot::find_user(*kept_->by_id(tenant), name);
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(directory_ / name) << text; }

  catalog::TemporaryDirectory directory_;
  std::string file_ = directory_ / "penstock.db";
  FakeTerminal terminal_;
  config::Environment environment_ = {{"PENSTOCK_SERVER_CATALOG", file_}};
  model::SnapshotPtr kept_;
};

}  // namespace penstock::cli
