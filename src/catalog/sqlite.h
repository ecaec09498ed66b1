// SQLite with our manners: handles that close themselves, and errors as values that say what to do.
//
// Owner:      SqliteStore, by value.
// Home:       one thread.
// Errors:     kIoError (missing, forbidden, full, locked), kConfigFileError (damaged or something else's
//             file); `where` is the file.
// Bounds:     a lock held by another process is waited for as long as OpenOptions::patience.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "catalog/database.h"

namespace penstock::catalog {

class SqliteDatabase final : public Database {
 public:
  struct OpenOptions {
    std::string path;
    std::chrono::milliseconds patience{5000};
  };
  SqliteDatabase() = default;  // not open
  void set_patience(std::chrono::milliseconds patience);
  // The file must exist.
  static base::Result<SqliteDatabase> open(const OpenOptions& options);

  base::Result<Rows> query(std::string_view sql, Parameters parameters = {}) override;
  base::Status begin(Kind kind) override;  // kWrite takes the lock at once
  base::Status commit() override;
  void rollback() override;

  // Any number of statements without parameters and results.
  base::Status run_script(const std::string& script);
  // The one number a query gives.
  base::Result<std::int64_t> number(std::string_view sql);
  // Copies the whole database into another file, while others go on writing to this one.
  base::Status copy_to(SqliteDatabase& other);
  bool is_open() const { return database_ != nullptr; }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace penstock::catalog
