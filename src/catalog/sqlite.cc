#include "catalog/sqlite.h"

#include <fmt/format.h>

namespace penstock::catalog {

namespace {

struct Trouble {
  base::SqlState sqlstate = base::kIoError;
  std::string_view what;
  std::string_view hint;
};

// By SQLite's primary result code.
Trouble trouble_of(int code) {
  // The only one of its kind that says what is wrong: there is no room for the index of the write-ahead log.
  switch (code == SQLITE_IOERR_SHMSIZE ? SQLITE_FULL : code & 0xff) {
    case SQLITE_CANTOPEN:
      return {.what = "cannot be opened",
              .hint =
                  "Its directory must exist and be writable, and the file must belong to the user who runs "
                  "Penstock."};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {.what = "cannot be written",
              .hint = "The file and its directory must be writable for the user who runs Penstock."};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {.what = "is locked by another process",
              .hint = "Try again; if it stays so, look for a hanging program that has the file open."};
    case SQLITE_CORRUPT:
      return {.sqlstate = base::kConfigFileError,
              .what = "is damaged",
              .hint = "Restore it from a backup, or move it away and add the tenants again."};
    case SQLITE_NOTADB:
      return {.sqlstate = base::kConfigFileError,
              .what = "is no SQLite database",
              .hint = "Name the right file, or move this one away so that a new catalog is created."};
    case SQLITE_FULL:
      return {.what = "cannot grow: the disk is full", .hint = "Make room on its file system."};
    case SQLITE_IOERR:
      return {.what = "cannot be read or written",
              .hint = "Look at the system's log for errors of the disk."};
    case SQLITE_CONSTRAINT:
      return {.sqlstate = base::kInternalError, .what = "refused a change", .hint = ""};
    default:
      return {.sqlstate = base::kInternalError, .what = "failed", .hint = ""};
  }
}

base::Error make_error(sqlite3* database, int code, std::string_view path) {
  const Trouble trouble = trouble_of(code);
  const char* text = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  return base::Error{.sqlstate = trouble.sqlstate,
                     .message = fmt::format("catalog file \"{}\" {}", path, trouble.what),
                     .detail = fmt::format("SQLite says: {} (code {}).", text, code),
                     .hint = std::string(trouble.hint),
                     .where = std::string(path)};
}

base::Error last_error(sqlite3* database) {
  const char* path = sqlite3_db_filename(database, "main");
  return make_error(database, sqlite3_extended_errcode(database), path != nullptr ? path : "");
}

// What every connection wants; none of these touches the file.
constexpr const char* kConnectionSettings =
    "PRAGMA foreign_keys = ON;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA secure_delete = ON;"
    "PRAGMA synchronous = FULL;";

}  // namespace

base::Result<SqliteDatabase> SqliteDatabase::open(const OpenOptions& options) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(options.path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  SqliteDatabase database;
  database.database_.reset(handle);
  if (code != SQLITE_OK) return base::fail(make_error(handle, code, options.path));
  database.set_patience(options.patience);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (const base::Status status = database.run_script(kConnectionSettings); !status)
    return base::fail(status.error());
  return database;
}

void SqliteDatabase::set_patience(std::chrono::milliseconds patience) {
  sqlite3_busy_timeout(database_.get(), static_cast<int>(patience.count()));
}

base::Result<Database::Rows> SqliteDatabase::query(std::string_view sql, Parameters parameters) {
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr) !=
      SQLITE_OK) {
    return base::fail(last_error(database_.get()));
  }
  const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(handle, &sqlite3_finalize);
  int at = 0;
  for (const std::string_view parameter : parameters) {
    sqlite3_bind_text64(handle, ++at, parameter.data() == nullptr ? "" : parameter.data(), parameter.size(),
                        SQLITE_STATIC, SQLITE_UTF8);
  }
  Rows rows;
  const int columns = sqlite3_column_count(handle);
  while (true) {
    const int code = sqlite3_step(handle);
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) return base::fail(last_error(database_.get()));
    Row& row = rows.emplace_back();
    for (int column = 0; column < columns; ++column) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle, column));
      const int size = sqlite3_column_bytes(handle, column);
      row.emplace_back(text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(size)));
    }
  }
}

base::Status SqliteDatabase::begin(Kind kind) {
  return run(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
}
base::Status SqliteDatabase::commit() {
  return run("COMMIT");
}
void SqliteDatabase::rollback() {
  (void)run("ROLLBACK");
}

base::Status SqliteDatabase::run_script(const std::string& script) {
  if (sqlite3_exec(database_.get(), script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return base::fail(last_error(database_.get()));
  }
  return {};
}

base::Result<std::int64_t> SqliteDatabase::number(std::string_view sql) {
  const base::Result<Rows> rows = query(sql);
  if (!rows) return base::fail(rows.error());
  return rows->empty() ? 0 : static_cast<std::int64_t>(to_number(rows->front()[0]));
}

base::Status SqliteDatabase::copy_to(SqliteDatabase& other) {
  sqlite3_backup* backup = sqlite3_backup_init(other.database_.get(), "main", database_.get(), "main");
  if (backup == nullptr) return base::fail(last_error(other.database_.get()));
  // In one step: a copy in several begins anew whenever somebody writes in between.
  int code = SQLITE_OK;
  for (int attempt = 0; attempt < 50; ++attempt) {
    code = sqlite3_backup_step(backup, -1);
    if (code != SQLITE_BUSY && code != SQLITE_LOCKED) break;
    sqlite3_sleep(100);
  }
  const int finished = sqlite3_backup_finish(backup);
  if (code == SQLITE_DONE && finished == SQLITE_OK) return {};
  return base::fail(last_error(other.database_.get()));
}

}  // namespace penstock::catalog
