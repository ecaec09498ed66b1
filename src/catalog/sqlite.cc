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
  switch (code & 0xff) {
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

SqliteStatement& SqliteStatement::bind(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter, text.data() == nullptr ? "" : text.data(), text.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int parameter, std::int64_t number) {
  sqlite3_bind_int64(statement_.get(), parameter, number);
  return *this;
}

base::Result<bool> SqliteStatement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return base::fail(last_error(sqlite3_db_handle(statement_.get())));
}

base::Status SqliteStatement::finish() {
  return each([](const SqliteStatement&) { return base::Status{}; });
}

std::string SqliteStatement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

std::int64_t SqliteStatement::number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

base::Result<SqliteDatabase> SqliteDatabase::open(const OpenOptions& options) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(options.path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  SqliteDatabase database;
  database.database_.reset(handle);
  if (code != SQLITE_OK) return base::fail(make_error(handle, code, options.path));
  sqlite3_busy_timeout(handle, static_cast<int>(options.patience.count()));
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (const base::Status status = database.run_script(kConnectionSettings); !status)
    return base::fail(status.error());
  return database;
}

base::Result<SqliteStatement> SqliteDatabase::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return base::fail(last_error(database_.get()));
  return SqliteStatement(statement);
}

base::Status SqliteDatabase::run_script(const std::string& script) {
  if (sqlite3_exec(database_.get(), script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return base::fail(last_error(database_.get()));
  }
  return {};
}

base::Result<std::int64_t> SqliteDatabase::number(std::string_view sql) {
  base::Result<SqliteStatement> statement = prepare(sql);
  if (!statement) return base::fail(statement.error());
  const base::Result<bool> row = statement->step();
  if (!row) return base::fail(row.error());
  return *row ? statement->number(0) : 0;
}

base::Result<SqliteTransaction> SqliteTransaction::begin(SqliteDatabase& database, Kind kind) {
  const base::Status status = database.run(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
  if (!status) return base::fail(status.error());
  return SqliteTransaction(database);
}

SqliteTransaction::~SqliteTransaction() {
  if (database_ != nullptr) (void)database_->run("ROLLBACK");
}

base::Status SqliteTransaction::commit() {
  if (const base::Status status = database_->run("COMMIT"); !status)
    return status;  // the destructor undoes it
  database_ = nullptr;
  return {};
}

}  // namespace penstock::catalog
