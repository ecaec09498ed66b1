#include "catalog/rows.h"

#include <fmt/format.h>

#include <memory>
#include <unordered_map>

#include "catalog/lower.h"
#include "catalog/record.h"
#include "catalog/timestamp.h"
#include "catalog/validate.h"

namespace penstock::catalog {

namespace {

using model::TenantRevision;
using model::TenantSpec;
using model::UserSpec;
using Rows = Database::Rows;

// Beyond this many changed tenants, reading all is cheaper than asking for each.
constexpr std::size_t kReadOneByOneMax = 32;
constexpr std::size_t kAuditRowsAtOnce = 100;

template <class Spec>
base::Status decode(const Table& table, const std::string& tenant, const std::string& record,
                    const std::string& path, Spec& spec) {
  const Sealing sealing{.keys = &table.keys, .random = &table.random, .tenant = tenant};
  base::Status status = from_record(record, spec, sealing);
  if (!status) status.error().message = fmt::format("{}: {}", path, status.error().message);
  return status;
}

base::Status add_user(const Table& table, TenantSpec& tenant, std::string name, const std::string& record) {
  tenant.users.push_back({.name = std::move(name)});
  UserSpec& user = tenant.users.back();
  return decode(table, tenant.id, record, fmt::format("tenants.{}.users.{}", tenant.id, user.name), user);
}

TenantRevision revision_of(const std::string& number, const std::string& created,
                           const std::string& changed) {
  return {.number = to_number(number),
          .created_at = parse_timestamp(created).value_or(model::WallTime{}),
          .changed_at = parse_timestamp(changed).value_or(model::WallTime{})};
}

// (kind of route, field it comes from, name)
template <class Visit>
base::Status each_route(const TenantSpec& tenant, Visit visit) {
  base::Status status;
  for (const std::string& name : tenant.sni_names) {
    if (status) status = visit("sni", "sni_names", lower(name));
  }
  for (const std::string& name : tenant.databases) {
    if (status) status = visit("database", "databases", name);
  }
  return status;
}

base::Status write_tenant(const Table& table, const TenantSpec& tenant, const TenantRevision& revision) {
  return table.database.run(
      "INSERT INTO tenants (id, record, revision, created_at, changed_at) VALUES ($1, $2, $3, $4, $5) "
      "ON CONFLICT (id) DO UPDATE SET record = excluded.record, revision = excluded.revision, "
      "changed_at = excluded.changed_at",
      {tenant.id, record_of(tenant), std::to_string(revision.number), to_text(revision.created_at),
       to_text(revision.changed_at)});
}

base::Status write_users(const Table& table, const TenantSpec& before, const TenantSpec& after,
                         const std::string& now) {
  const Sealing sealing{.keys = &table.keys, .random = &table.random, .tenant = after.id};
  std::unordered_map<std::string_view, const UserSpec*> old;
  for (const UserSpec& user : before.users) old[user.name] = &user;
  for (const UserSpec& user : after.users) {
    const auto found = old.find(user.name);
    const bool is_same = found != old.end() && *found->second == user;
    if (found != old.end()) old.erase(found);
    if (is_same) continue;
    const base::Status status = table.database.run(
        "INSERT INTO users (tenant, name, record, created_at, changed_at) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (tenant, name) DO UPDATE SET record = excluded.record, changed_at = excluded.changed_at",
        {after.id, user.name, record_of(user, sealing), now, now});
    if (!status) return status;
  }
  for (const auto& [name, user] : old) {
    const base::Status status =
        table.database.run("DELETE FROM users WHERE tenant = $1 AND name = $2", {after.id, name});
    if (!status) return status;
  }
  return {};
}

base::Status write_routes(Database& database, const TenantSpec& before, const TenantSpec& after) {
  if (before.sni_names.empty() && before.databases.empty() && after.sni_names.empty() &&
      after.databases.empty()) {
    return {};
  }
  if (const base::Status status = clear_routes(database, after.id); !status) return status;
  return each_route(after, [&](std::string_view kind, std::string_view, const std::string& name) {
    return database.run("INSERT INTO routes (kind, name, tenant) VALUES ($1, $2, $3)",
                        {kind, name, after.id});
  });
}

// Every record of the catalog, without looking at what is known.
base::Result<std::unordered_map<std::string, std::shared_ptr<TenantSpec>>> read_all(const Table& table) {
  std::unordered_map<std::string, std::shared_ptr<TenantSpec>> tenants;
  base::Result<Rows> rows = table.database.query("SELECT id, record FROM tenants ORDER BY id");
  if (!rows) return base::fail(rows.error());
  for (const Database::Row& row : *rows) {
    auto tenant = std::make_shared<TenantSpec>(TenantSpec{.id = row[0]});
    const base::Status status = decode(table, row[0], row[1], "tenants." + row[0], *tenant);
    if (!status) return base::fail(status.error());
    tenants[row[0]] = std::move(tenant);
  }
  rows = table.database.query("SELECT tenant, name, record FROM users ORDER BY tenant, name");
  if (!rows) return base::fail(rows.error());
  for (Database::Row& row : *rows) {
    const auto tenant = tenants.find(row[0]);
    if (tenant == tenants.end()) continue;  // only where somebody else has written without foreign keys
    const base::Status status = add_user(table, *tenant->second, std::move(row[1]), row[2]);
    if (!status) return base::fail(status.error());
  }
  // Postgres sorts by the collation of its database.
  for (const auto& [id, tenant] : tenants) std::ranges::sort(tenant->users, {}, &UserSpec::name);
  return tenants;
}

}  // namespace

base::Result<std::uint64_t> read_version(Database& database) {
  const base::Result<Rows> rows = database.query("SELECT version FROM catalog");
  if (!rows) return base::fail(rows.error());
  if (rows->empty()) return base::fail(base::kConfigFileError, "the catalog has lost its version");
  return to_number(rows->front()[0]);
}

base::Result<std::string> read_login_secret(Database& database) {
  const base::Result<Rows> rows = database.query("SELECT login_secret FROM catalog");
  if (!rows) return base::fail(rows.error());
  return rows->empty() ? std::string() : rows->front()[0];
}

base::Result<model::SnapshotPtr> read_snapshot(const Table& table, const std::string& default_tenant,
                                               const model::SnapshotPtr& known) {
  const base::Result<std::uint64_t> version = read_version(table.database);
  if (!version) return base::fail(version.error());
  base::Result<Rows> rows = table.database.query("SELECT id, revision, created_at, changed_at FROM tenants");
  if (!rows) return base::fail(rows.error());
  std::ranges::sort(*rows, {}, [](const Database::Row& row) -> const std::string& { return row[0]; });

  model::TenantRevisions revisions;
  std::vector<model::TenantPtr> tenants;
  std::vector<std::size_t> missing;  // places in `tenants`
  for (const Database::Row& row : *rows) {
    const TenantRevision revision = revision_of(row[1], row[2], row[3]);
    // With its times: once a backup has been brought back, the numbers after it are given anew.
    const bool is_known = known != nullptr && known->revision_of(row[0]) == revision;
    tenants.push_back(is_known ? known->by_id(row[0]) : nullptr);
    if (tenants.back() == nullptr) missing.push_back(tenants.size() - 1);
    revisions[row[0]] = revision;
  }
  if (missing.size() <= kReadOneByOneMax) {
    for (const std::size_t place : missing) {
      auto tenant = read_tenant(table, (*rows)[place][0]);
      if (!tenant) return base::fail(tenant.error());
      tenants[place] = std::make_shared<const TenantSpec>(std::move((*tenant)->spec));
    }
  } else {
    auto all = read_all(table);
    if (!all) return base::fail(all.error());
    for (const std::size_t place : missing) tenants[place] = (*all)[(*rows)[place][0]];
  }
  auto login_secret = read_login_secret(table.database);
  if (!login_secret) return base::fail(login_secret.error());
  return std::make_shared<const model::CatalogSnapshot>(std::move(tenants), default_tenant, *version,
                                                        std::move(revisions), *std::move(login_secret));
}

base::Result<std::optional<StoredTenant>> read_tenant(const Table& table, std::string_view id) {
  base::Result<Rows> rows = table.database.query(
      "SELECT record, revision, created_at, changed_at FROM tenants WHERE id = $1", {id});
  if (!rows) return base::fail(rows.error());
  if (rows->empty()) return std::nullopt;
  const Database::Row& row = rows->front();
  StoredTenant tenant{.spec = {.id = std::string(id)}, .revision = revision_of(row[1], row[2], row[3])};
  if (const base::Status status =
          decode(table, tenant.spec.id, row[0], "tenants." + tenant.spec.id, tenant.spec);
      !status) {
    return base::fail(status.error());
  }
  rows = table.database.query("SELECT name, record FROM users WHERE tenant = $1", {id});
  if (!rows) return base::fail(rows.error());
  for (Database::Row& user : *rows) {
    const base::Status status = add_user(table, tenant.spec, std::move(user[0]), user[1]);
    if (!status) return base::fail(status.error());
  }
  std::ranges::sort(tenant.spec.users, {}, &UserSpec::name);
  return tenant;
}

base::Result<std::optional<StoredTenant>> read_outline(Database& database, std::string_view id) {
  const base::Result<Rows> rows =
      database.query("SELECT revision, created_at, changed_at FROM tenants WHERE id = $1", {id});
  if (!rows) return base::fail(rows.error());
  if (rows->empty()) return std::nullopt;
  const Database::Row& row = rows->front();
  return StoredTenant{.spec = {.id = std::string(id)}, .revision = revision_of(row[0], row[1], row[2])};
}

base::Status check_routes(Database& database, const TenantSpec& tenant) {
  std::vector<Problem> problems;
  const base::Status status = each_route(
      tenant, [&](std::string_view kind, std::string_view field, const std::string& name) -> base::Status {
        const base::Result<Rows> rows =
            database.query("SELECT tenant FROM routes WHERE kind = $1 AND name = $2 AND tenant <> $3",
                           {kind, name, tenant.id});
        if (!rows) return base::fail(rows.error());
        if (!rows->empty()) problems.push_back(taken_name(tenant, field, name, rows->front()[0]));
        return {};
      });
  return status ? refuse_errors(problems) : status;
}

base::Status clear_routes(Database& database, std::string_view tenant_id) {
  return database.run("DELETE FROM routes WHERE tenant = $1", {tenant_id});
}

base::Result<std::uint64_t> raise_version(Database& database) {
  if (const base::Status status = database.run("UPDATE catalog SET version = version + 1"); !status) {
    return base::fail(status.error());
  }
  return read_version(database);
}

base::Status write_difference(const Table& table, const std::optional<TenantSpec>& before,
                              const std::optional<TenantSpec>& after, const TenantRevision& revision) {
  if (!after) {  // users and routes go with it
    return table.database.run("DELETE FROM tenants WHERE id = $1", {before->id});
  }
  const TenantSpec nothing;
  const TenantSpec& old = before ? *before : nothing;
  base::Status status = write_tenant(table, *after, revision);
  if (status) status = write_users(table, old, *after, to_text(revision.changed_at));
  return status ? write_routes(table.database, old, *after) : status;
}

base::Status write_audit(Database& database, const AuditEntry& entry) {
  const base::Status status = database.run(
      "INSERT INTO audit (at, actor, origin, action, tenant, fields, revision) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7)",
      {to_text(entry.at), entry.actor.name, entry.actor.origin, entry.action, entry.tenant,
       json_of_list(abridged(entry.fields)), std::to_string(entry.revision)});
  if (!status) return status;
  return database.run("DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - $1",
                      {std::to_string(kAuditEntriesMax)});
}

namespace {

// Those of one statement: what is read beyond `bytes_max` is little.
base::Result<Rows> audit_rows(Database& database, const AuditQuery& query, std::uint64_t before,
                              std::size_t limit) {
  std::string sql =
      "SELECT number, at, actor, origin, action, tenant, fields, revision FROM audit WHERE number < $1";
  if (!query.tenant.empty()) sql += " AND tenant = $2";
  sql += fmt::format(" ORDER BY number DESC LIMIT {}", limit);
  return query.tenant.empty() ? database.query(sql, {std::to_string(before)})
                              : database.query(sql, {std::to_string(before), query.tenant});
}

AuditEntry entry_of(const Database::Row& row) {
  return {.number = to_number(row[0]),
          .at = parse_timestamp(row[1]).value_or(model::WallTime{}),
          .actor = {.name = row[2], .origin = row[3]},
          .action = row[4],
          .tenant = row[5],
          .fields = list_from_json(row[6]),
          .revision = to_number(row[7])};
}

}  // namespace

base::Result<std::vector<AuditEntry>> read_audit(Database& database, const AuditQuery& query) {
  std::uint64_t before = std::min<std::uint64_t>(query.before.value_or(INT64_MAX), std::uint64_t{INT64_MAX});
  std::vector<AuditEntry> entries;
  std::size_t bytes = 0;
  while (entries.size() < query.limit) {
    const std::size_t wanted = std::min(query.limit - entries.size(), kAuditRowsAtOnce);
    const base::Result<Rows> rows = audit_rows(database, query, before, wanted);
    if (!rows) return base::fail(rows.error());
    for (const Database::Row& row : *rows) {
      for (const std::string& text : row) bytes += text.size();
      if (bytes > query.bytes_max && !entries.empty()) return entries;
      entries.push_back(entry_of(row));
    }
    if (rows->size() < wanted) break;
    before = entries.back().number;
  }
  return entries;
}

}  // namespace penstock::catalog
