#include "catalog/postgres_schema.h"

#include <fmt/format.h>

#include <iterator>

#include "auth/keyring.h"

namespace penstock::catalog {

namespace {

// "pnst", for all catalogs in one database.
constexpr std::int64_t kLock = 0x706e7374;

struct Step {
  const char* name;
  const char* script;
};

// Steps are only ever added at the end: databases out there have taken the earlier ones.
constexpr Step kSteps[] = {
    {"tenants, users, routes and the audit log", R"sql(
CREATE TABLE penstock.catalog (
  only_row integer PRIMARY KEY CHECK (only_row = 1),
  version  bigint NOT NULL
);
INSERT INTO penstock.catalog VALUES (1, 1);
CREATE TABLE penstock.tenants (
  id         text PRIMARY KEY,
  record     text NOT NULL,
  revision   bigint NOT NULL,
  created_at timestamptz(3) NOT NULL,
  changed_at timestamptz(3) NOT NULL
);
CREATE TABLE penstock.users (
  tenant     text NOT NULL REFERENCES penstock.tenants (id) ON DELETE CASCADE,
  name       text NOT NULL,
  record     text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  changed_at timestamptz(3) NOT NULL,
  PRIMARY KEY (tenant, name)
);
CREATE TABLE penstock.routes (
  kind   text NOT NULL CHECK (kind IN ('sni', 'database')),
  name   text NOT NULL,
  tenant text NOT NULL REFERENCES penstock.tenants (id) ON DELETE CASCADE,
  PRIMARY KEY (kind, name)
);
CREATE INDEX routes_by_tenant ON penstock.routes (tenant);
CREATE TABLE penstock.audit (
  number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz(3) NOT NULL,
  actor    text NOT NULL,
  origin   text NOT NULL,
  action   text NOT NULL,
  tenant   text NOT NULL,
  fields   text NOT NULL,
  revision bigint NOT NULL
);
CREATE INDEX audit_by_tenant ON penstock.audit (tenant, number);
)sql"},
    {"the secret behind mock log-ins", R"sql(
ALTER TABLE penstock.catalog ADD COLUMN login_secret text NOT NULL DEFAULT '';
)sql"},
};

constexpr std::int64_t kNewest = std::size(kSteps);

// Asked in the system's tables: to_regclass() may answer from a cache that does not know yet what another node has
// just made.
base::Result<std::int64_t> schema_of(PostgresConnection& connection) {
  base::Result<Database::Rows> rows = connection.query(
      "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE n.nspname = 'penstock' AND c.relname = 'migrations'");
  if (!rows) return base::fail(rows.error());
  if (rows->empty()) return 0;
  rows = connection.query("SELECT coalesce(max(version), 0) FROM penstock.migrations");
  if (!rows) return base::fail(rows.error());
  return static_cast<std::int64_t>(to_number(rows->front()[0]));
}

base::Status make_schema(PostgresConnection& connection) {
  const base::Result<Database::Rows> rows =
      connection.query("SELECT 1 FROM pg_namespace WHERE nspname = 'penstock'");
  if (!rows) return base::fail(rows.error());
  // Only asked for when it is missing: it takes a right that the role need not have otherwise.
  if (rows->empty()) {
    if (const base::Status status = connection.run("CREATE SCHEMA penstock"); !status) return status;
  }
  return connection.run_script(
      "CREATE TABLE penstock.migrations ("
      "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
}

// Another node may have been faster: the version is read again under the lock.
base::Status take_missing_steps(PostgresConnection& connection) {
  if (const base::Status status = connection.run("BEGIN"); !status) return status;
  base::Status status = connection.run(fmt::format("SELECT pg_advisory_xact_lock({})", kLock));
  if (!status) return status;
  const base::Result<std::int64_t> version = schema_of(connection);
  if (!version) return base::fail(version.error());
  if (*version == 0) status = make_schema(connection);
  for (std::int64_t index = *version; status && index < kNewest; ++index) {
    status = connection.run_script(kSteps[index].script);
    if (!status) break;
    status = connection.run("INSERT INTO penstock.migrations (version, name) VALUES ($1, $2)",
                            {std::to_string(index + 1), kSteps[index].name});
  }
  base::SystemRandom random;
  if (status) {
    status = connection.run("UPDATE penstock.catalog SET login_secret = $1 WHERE login_secret = ''",
                            {auth::Keyring::make_key(random)});
  }
  return status ? connection.commit() : status;
}

}  // namespace

base::Status bring_up_to_date(PostgresConnection& connection, Migrate migrate) {
  const base::Result<std::int64_t> version = schema_of(connection);
  if (!version) return base::fail(version.error());
  if (*version == kNewest) return {};
  if (*version > kNewest) {
    return base::fail(
        base::kConfigFileError,
        fmt::format("the catalog database was written by a newer Penstock (schema {}, this program "
                    "knows up to {})",
                    *version, kNewest),
        {}, "Use that version of Penstock, or a database of its own for this one.");
  }
  if (migrate == Migrate::kNo) {
    return base::fail(
        base::kObjectNotInPrerequisiteState,
        fmt::format("the tables of the catalog database are missing or old (schema {}, this program "
                    "needs {})",
                    *version, kNewest),
        {},
        "`penstock catalog migrate` makes them; so does a server that starts, unless server.catalog_migrate "
        "is false.");
  }
  base::Status status = take_missing_steps(connection);
  connection.rollback();  // does nothing after a commit
  if (!status && status.error().sqlstate == base::SqlState("42501")) {
    status.error().hint =
        "The role needs the right to create a schema (GRANT CREATE ON DATABASE), or an owned schema "
        "\"penstock\".";
  }
  return status;
}

}  // namespace penstock::catalog
