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
#include <utility>

#include "base/error.h"

namespace penstock::catalog {

class SqliteStatement {
 public:
  // Parameters count from 1, columns from 0. Texts are copied.
  SqliteStatement& bind(int parameter, std::string_view text);
  SqliteStatement& bind(int parameter, std::int64_t number);
  // True: a row is there. False: done.
  base::Result<bool> step();
  // Runs to the end and throws away any row.
  base::Status finish();
  // Runs to the end; `on_row` may stop it with an error.
  template <class OnRow>
  base::Status each(OnRow on_row) {
    while (true) {
      const base::Result<bool> row = step();
      if (!row) return base::fail(row.error());
      if (!*row) return {};
      if (const base::Status status = on_row(*this); !status) return status;
    }
  }

  std::string text(int column) const;
  std::int64_t number(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDatabase {
 public:
  struct OpenOptions {
    std::string path;
    std::chrono::milliseconds patience{5000};
  };
  SqliteDatabase() = default;  // not open
  // The file must exist.
  static base::Result<SqliteDatabase> open(const OpenOptions& options);

  base::Result<SqliteStatement> prepare(std::string_view sql);
  // One statement with its parameters, numbers or texts.
  template <class... Parameters>
  base::Status run(std::string_view sql, const Parameters&... parameters) {
    base::Result<SqliteStatement> statement = prepare(sql);
    if (!statement) return base::fail(statement.error());
    int at = 0;
    (statement->bind(++at, parameters), ...);
    return statement->finish();
  }
  // Any number of statements without parameters and results.
  base::Status run_script(const std::string& script);
  // The one number a query gives.
  base::Result<std::int64_t> number(std::string_view sql);
  bool is_open() const { return database_ != nullptr; }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

// Ends in commit() or is undone.
class SqliteTransaction {
 public:
  enum class Kind { kRead, kWrite };  // kWrite takes the lock at once, so that what was read stays true
  static base::Result<SqliteTransaction> begin(SqliteDatabase& database, Kind kind);
  SqliteTransaction(SqliteTransaction&& other) noexcept
      : database_(std::exchange(other.database_, nullptr)) {}
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  ~SqliteTransaction();

  base::Status commit();

 private:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;  // null once ended
};

}  // namespace penstock::catalog
