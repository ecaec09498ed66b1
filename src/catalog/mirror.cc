#include "catalog/mirror.h"

#include <algorithm>
#include <map>
#include <utility>

#include "catalog/rows.h"
#include "catalog/sqlite_store.h"
#include "catalog/timestamp.h"

namespace penstock::catalog {

namespace {

using Rows = Database::Rows;

constexpr const char* kTenants = "SELECT id, revision, record, created_at, changed_at FROM tenants";

// What one query on either side gives for one tenant, written to the copy.
base::Status copy_rows(Database& from, Database& to, const std::string& tenant, std::string_view select,
                       std::string_view insert) {
  const base::Result<Rows> rows = from.query(select, {tenant});
  if (!rows) return base::fail(rows.error());
  for (const Database::Row& row : *rows) {
    const base::Status status = row.size() == 5 ? to.run(insert, {row[0], row[1], row[2], row[3], row[4]})
                                                : to.run(insert, {row[0], row[1], row[2]});
    if (!status) return status;
  }
  return {};
}

base::Status copy_tenant(Database& from, Database& to, const Database::Row& tenant) {
  base::Status status = to.run("DELETE FROM tenants WHERE id = $1", {tenant[0]});  // the rest goes with it
  if (status) {
    status = to.run(
        "INSERT INTO tenants (id, revision, record, created_at, changed_at) VALUES ($1, $2, $3, $4, $5)",
        {tenant[0], tenant[1], tenant[2], tenant[3], tenant[4]});
  }
  if (status) {
    status = copy_rows(from, to, tenant[0],
                       "SELECT tenant, name, record, created_at, changed_at FROM users WHERE tenant = $1",
                       "INSERT INTO users (tenant, name, record, created_at, changed_at) "
                       "VALUES ($1, $2, $3, $4, $5)");
  }
  return status;
}

base::Status copy_all(Database& from, Database& to) {
  const base::Result<std::uint64_t> version = read_version(from);
  if (!version) return base::fail(version.error());
  const base::Result<std::string> login_secret = read_login_secret(from);
  if (!login_secret) return base::fail(login_secret.error());
  const base::Result<Rows> tenants = from.query(kTenants);
  if (!tenants) return base::fail(tenants.error());
  const base::Result<Rows> copied = to.query("SELECT id, revision, changed_at FROM tenants");
  if (!copied) return base::fail(copied.error());
  // With its time: once a backup has been brought back, the numbers after it are given anew.
  using Revision = std::pair<std::string, std::string>;
  std::map<std::string, Revision> revisions;
  for (const Database::Row& row : *copied) revisions[row[0]] = {row[1], row[2]};

  std::vector<const Database::Row*> changed;
  for (const Database::Row& tenant : *tenants) {
    const auto found = revisions.find(tenant[0]);
    const bool is_same = found != revisions.end() && found->second == Revision(tenant[1], tenant[4]);
    if (found != revisions.end()) revisions.erase(found);
    if (!is_same) changed.push_back(&tenant);
  }
  base::Status status;
  for (const auto& [id, revision] : revisions) {
    if (status) status = to.run("DELETE FROM tenants WHERE id = $1", {id});
  }
  // Names may have moved between tenants: all go before any comes.
  for (const Database::Row* tenant : changed) {
    if (status) status = copy_tenant(from, to, *tenant);
  }
  for (const Database::Row* tenant : changed) {
    if (!status) break;
    status = copy_rows(from, to, (*tenant)[0], "SELECT kind, name, tenant FROM routes WHERE tenant = $1",
                       "INSERT INTO routes (kind, name, tenant) VALUES ($1, $2, $3)");
  }
  if (!status) return status;
  return to.run("UPDATE catalog SET version = $1, login_secret = $2",
                {std::to_string(*version), *login_secret});
}

}  // namespace

base::Result<std::size_t> restore_from(Database& from, Database& to, const Actor& actor) {
  base::Result<Transaction> read = Transaction::begin(from, Database::Kind::kRead);
  if (!read) return base::fail(read.error());
  base::Result<Transaction> write = Transaction::begin(to, Database::Kind::kWrite);
  if (!write) return base::fail(write.error());
  const base::Result<std::uint64_t> before = read_version(to);
  if (!before) return base::fail(before.error());
  // All of them: whoever needs a backup cannot rely on what revisions say.
  base::Status status = to.run("DELETE FROM tenants");
  if (status) status = copy_all(from, to);
  if (!status) return base::fail(status.error());
  const base::Result<std::uint64_t> copied = read_version(to);
  if (!copied) return base::fail(copied.error());
  const std::string version = std::to_string(std::max(*before, *copied) + 1);
  status = to.run("UPDATE catalog SET version = $1", {version});
  if (status) status = to.run("UPDATE tenants SET revision = $1", {version});
  if (status) {
    status = write_audit(
        to, {.at = wall_clock_now(), .actor = actor, .action = "restore", .revision = to_number(version)});
  }
  const base::Result<Rows> count = to.query("SELECT count(*) FROM tenants");
  if (status) status = write->commit();
  if (!status) return base::fail(status.error());
  return count ? to_number(count->front()[0]) : 0;
}

base::Status mirror(Database& from, const std::string& sqlite_file) {
  base::Result<SqliteDatabase> copy = SqliteStore::open_file(sqlite_file);
  if (!copy) return base::fail(copy.error());
  base::Result<Transaction> read = Transaction::begin(from, Database::Kind::kRead);
  if (!read) return base::fail(read.error());
  base::Result<Transaction> write = Transaction::begin(*copy, Database::Kind::kWrite);
  if (!write) return base::fail(write.error());
  const base::Status status = copy_all(from, *copy);
  return status ? write->commit() : status;
}

}  // namespace penstock::catalog
