#include "catalog/sqlite_rows.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "catalog/lower.h"
#include "catalog/record.h"
#include "catalog/validate.h"

namespace penstock::catalog {

namespace {

using model::TenantSpec;
using model::UserSpec;

template <class Spec>
base::Status decode(const std::string& record, const std::string& path, Spec& spec) {
  base::Status status = from_record(record, spec);
  if (!status) status.error().message = fmt::format("{}: {}", path, status.error().message);
  return status;
}

base::Status add_user(TenantSpec& tenant, std::string name, const std::string& record) {
  tenant.users.push_back({.name = std::move(name)});
  UserSpec& user = tenant.users.back();
  return decode(record, fmt::format("tenants.{}.users.{}", tenant.id, user.name), user);
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

base::Status write_tenant(SqliteDatabase& database, const TenantSpec& tenant) {
  return database.run(
      "INSERT INTO tenants (id, record) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = "
      "excluded.record, "
      "changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE record <> excluded.record",
      tenant.id, record_of(tenant));
}

base::Status write_users(SqliteDatabase& database, const TenantSpec& before, const TenantSpec& after) {
  std::unordered_map<std::string_view, const UserSpec*> old;
  for (const UserSpec& user : before.users) old[user.name] = &user;
  for (const UserSpec& user : after.users) {
    const auto found = old.find(user.name);
    const bool is_same = found != old.end() && *found->second == user;
    if (found != old.end()) old.erase(found);
    if (is_same) continue;
    const base::Status status = database.run(
        "INSERT INTO users (tenant, name, record) VALUES (?1, ?2, ?3) ON CONFLICT (tenant, name) DO UPDATE "
        "SET "
        "record = excluded.record, changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        after.id, user.name, record_of(user));
    if (!status) return status;
  }
  for (const auto& [name, user] : old) {
    const base::Status status =
        database.run("DELETE FROM users WHERE tenant = ?1 AND name = ?2", after.id, name);
    if (!status) return status;
  }
  return {};
}

base::Status write_routes(SqliteDatabase& database, const TenantSpec& tenant) {
  const base::Status status = database.run("DELETE FROM routes WHERE tenant = ?1", tenant.id);
  if (!status) return status;
  return each_route(tenant, [&](std::string_view kind, std::string_view, const std::string& name) {
    return database.run("INSERT INTO routes (kind, name, tenant) VALUES (?1, ?2, ?3)", kind, name, tenant.id);
  });
}

}  // namespace

base::Result<std::vector<model::TenantPtr>> read_tenants(SqliteDatabase& database) {
  std::vector<std::shared_ptr<TenantSpec>> tenants;
  std::unordered_map<std::string, TenantSpec*> by_id;
  base::Result<SqliteStatement> rows = database.prepare("SELECT id, record FROM tenants ORDER BY id");
  if (!rows) return base::fail(rows.error());
  base::Status status = rows->each([&](const SqliteStatement& row) {
    tenants.push_back(std::make_shared<TenantSpec>(TenantSpec{.id = row.text(0)}));
    TenantSpec& tenant = *tenants.back();
    by_id[tenant.id] = &tenant;
    return decode(row.text(1), "tenants." + tenant.id, tenant);
  });
  if (!status) return base::fail(status.error());

  rows = database.prepare("SELECT tenant, name, record FROM users ORDER BY tenant, name");
  if (!rows) return base::fail(rows.error());
  status = rows->each([&](const SqliteStatement& row) -> base::Status {
    const auto tenant = by_id.find(row.text(0));
    if (tenant == by_id.end()) return {};  // only where somebody else has written without foreign keys
    return add_user(*tenant->second, row.text(1), row.text(2));
  });
  if (!status) return base::fail(status.error());
  return std::vector<model::TenantPtr>(tenants.begin(), tenants.end());
}

base::Result<std::optional<TenantSpec>> read_tenant(SqliteDatabase& database, std::string_view id) {
  base::Result<SqliteStatement> rows = database.prepare("SELECT record FROM tenants WHERE id = ?1");
  if (!rows) return base::fail(rows.error());
  const base::Result<bool> row = rows->bind(1, id).step();
  if (!row) return base::fail(row.error());
  if (!*row) return std::nullopt;
  TenantSpec tenant{.id = std::string(id)};
  base::Status status = decode(rows->text(0), "tenants." + tenant.id, tenant);
  if (!status) return base::fail(status.error());

  rows = database.prepare("SELECT name, record FROM users WHERE tenant = ?1 ORDER BY name");
  if (!rows) return base::fail(rows.error());
  status = rows->bind(1, id).each(
      [&](const SqliteStatement& user) { return add_user(tenant, user.text(0), user.text(1)); });
  if (!status) return base::fail(status.error());
  return tenant;
}

base::Status check_routes(SqliteDatabase& database, const TenantSpec& tenant) {
  std::vector<Problem> problems;
  const base::Status status = each_route(
      tenant, [&](std::string_view kind, std::string_view field, const std::string& name) -> base::Status {
        base::Result<SqliteStatement> rows =
            database.prepare("SELECT tenant FROM routes WHERE kind = ?1 AND name = ?2 AND tenant <> ?3");
        if (!rows) return base::fail(rows.error());
        const base::Result<bool> row = rows->bind(1, kind).bind(2, name).bind(3, tenant.id).step();
        if (!row) return base::fail(row.error());
        if (*row) problems.push_back(taken_name(tenant, field, name, rows->text(0)));
        return {};
      });
  return status ? refuse_errors(problems) : status;
}

base::Status write_difference(SqliteDatabase& database, const std::optional<TenantSpec>& before,
                              const std::optional<TenantSpec>& after) {
  base::Status status;
  if (!after) {
    status = database.run("DELETE FROM tenants WHERE id = ?1", before->id);  // users and routes go with it
  } else {
    status = write_tenant(database, *after);
    if (status) status = write_users(database, before.value_or(TenantSpec{}), *after);
    if (status) status = write_routes(database, *after);
  }
  return status ? database.run("UPDATE catalog SET version = version + 1") : status;
}

}  // namespace penstock::catalog
