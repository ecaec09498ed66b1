#include "catalog/sqlite_schema.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <thread>

#include "auth/keyring.h"

namespace penstock::catalog {

namespace {

struct Step {
  const char* name;
  const char* script;
};

// Steps are only ever added at the end: files out there have taken the earlier ones.
constexpr Step kSteps[] = {
    {"tenants, users and routes", R"sql(
CREATE TABLE migrations (
  version    INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE TABLE catalog (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  version  INTEGER NOT NULL
) STRICT;
INSERT INTO catalog VALUES (1, 1);
CREATE TABLE tenants (
  id         TEXT PRIMARY KEY NOT NULL,
  record     TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE TABLE users (
  tenant     TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name       TEXT NOT NULL,
  record     TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (tenant, name)
) STRICT;
CREATE TABLE routes (
  kind   TEXT NOT NULL CHECK (kind IN ('sni', 'database')),
  name   TEXT NOT NULL,
  tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX routes_by_tenant ON routes (tenant);
)sql"},
    {"revisions and the audit log", R"sql(
ALTER TABLE tenants ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
CREATE TABLE audit (
  number   INTEGER PRIMARY KEY,
  at       TEXT NOT NULL,
  actor    TEXT NOT NULL,
  origin   TEXT NOT NULL,
  action   TEXT NOT NULL,
  tenant   TEXT NOT NULL,
  fields   TEXT NOT NULL,
  revision INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_tenant ON audit (tenant, number);
)sql"},
    {"the secret behind mock log-ins", R"sql(
ALTER TABLE catalog ADD COLUMN login_secret TEXT NOT NULL DEFAULT '';
)sql"},
};

base::Status refuse_file(std::string_view path, std::string what, std::string hint) {
  return base::fail(base::Error{.sqlstate = base::kConfigFileError,
                                .message = fmt::format("catalog file \"{}\" {}", path, what),
                                .hint = std::move(hint),
                                .where = std::string(path)});
}

base::Status take_step(SqliteDatabase& database, std::int64_t index) {
  const Step& step = kSteps[index];
  if (const base::Status status = database.run_script(step.script); !status) return status;
  if (const base::Status status = database.run("INSERT INTO migrations (version, name) VALUES ($1, $2)",
                                               {std::to_string(index + 1), step.name});
      !status) {
    return status;
  }
  return database.run_script(fmt::format("PRAGMA user_version = {}", index + 1));
}

// Another process may have been faster: the version is read again under the lock.
base::Status take_missing_steps(SqliteDatabase& database) {
  base::Result<Transaction> transaction = Transaction::begin(database, Database::Kind::kWrite);
  if (!transaction) return base::fail(transaction.error());
  const base::Result<std::int64_t> version = database.number("PRAGMA user_version");
  if (!version) return base::fail(version.error());
  for (std::int64_t index = *version; index < newest_schema(); ++index) {
    if (const base::Status status = take_step(database, index); !status) return status;
  }
  base::SystemRandom random;
  base::Status status = database.run("UPDATE catalog SET login_secret = $1 WHERE login_secret = ''",
                                     {auth::Keyring::make_key(random)});
  if (status) status = database.run_script(fmt::format("PRAGMA application_id = {}", kApplicationId));
  return status ? transaction->commit() : status;
}

}  // namespace

std::int64_t newest_schema() {
  return std::size(kSteps);
}

// SQLite does not wait for others here: several processes may create the file at the same time.
static base::Status switch_to_wal(SqliteDatabase& database) {
  constexpr int kAttempts = 100;
  for (int attempt = 1;; ++attempt) {
    const base::Status status = database.run_script("PRAGMA journal_mode = WAL");
    const bool is_locked = !status && status.error().message.contains("is locked");
    if (!is_locked || attempt == kAttempts) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

base::Status bring_up_to_date(SqliteDatabase& database, std::string_view path) {
  const base::Result<std::int64_t> tables = database.number("SELECT count(*) FROM sqlite_master");
  if (!tables) return base::fail(tables.error());
  const base::Result<std::int64_t> owner = database.number("PRAGMA application_id");
  if (!owner) return base::fail(owner.error());
  const base::Result<std::int64_t> version = database.number("PRAGMA user_version");
  if (!version) return base::fail(version.error());

  if (*tables > 0 && *owner != kApplicationId) {
    return refuse_file(path, "is a SQLite database of another program",
                       "Name the right file, or move this one away so that a new catalog is created.");
  }
  if (*version > newest_schema()) {
    return refuse_file(path,
                       fmt::format("was written by a newer Penstock (schema {}, this program knows up to {})",
                                   *version, newest_schema()),
                       "Use that version of Penstock, or a catalog of its own for this one.");
  }
  if (*version == newest_schema()) return {};
  if (const base::Status status = switch_to_wal(database); !status) return status;
  return take_missing_steps(database);
}

}  // namespace penstock::catalog
