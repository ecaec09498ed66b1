// Which secrets of the store are sealed, and sealing all of them again.
#include <fmt/format.h>

#include "catalog/record.h"
#include "catalog/rows.h"

namespace penstock::catalog {

namespace {

using Rows = Database::Rows;

// Counts the secrets of one record into `report`; gives whether one of them is not sealed with the sealing key.
bool count(const Table& table, const std::string& record, SealReport& report) {
  bool is_behind = false;
  for (const std::string& key : keys_of_secrets(record)) {
    const bool is_sealed_now = !key.empty() && !table.keys.empty() && key == table.keys.sealing_id();
    ++(key.empty() ? report.plain : is_sealed_now ? report.sealed : report.by_old_key);
    is_behind = is_behind || !is_sealed_now;
  }
  return is_behind;
}

base::Result<Rows> users(const Table& table) {
  return table.database.query("SELECT tenant, name, record FROM users ORDER BY tenant, name");
}

}  // namespace

base::Result<SealReport> report_seals(const Table& table) {
  const base::Result<Rows> rows = users(table);
  if (!rows) return base::fail(rows.error());
  SealReport report;
  for (const Database::Row& row : *rows) count(table, row[2], report);
  return report;
}

base::Result<SealReport> reseal(const Table& table, std::uint64_t version) {
  const base::Result<Rows> rows = users(table);
  if (!rows) return base::fail(rows.error());
  SealReport report;
  for (const Database::Row& row : *rows) {
    if (!count(table, row[2], report)) continue;
    const Sealing sealing{.keys = &table.keys, .random = &table.random, .tenant = row[0]};
    model::UserSpec user{.name = row[1]};
    if (base::Status status = from_record(row[2], user, sealing); !status) {
      status.error().message = fmt::format("tenants.{}.users.{}: {}", row[0], row[1], status.error().message);
      return base::fail(status.error());
    }
    base::Status status = table.database.run("UPDATE users SET record = $1 WHERE tenant = $2 AND name = $3",
                                             {record_of(user, sealing), row[0], row[1]});
    if (status) {
      status = table.database.run("UPDATE tenants SET revision = $1 WHERE id = $2",
                                  {std::to_string(version), row[0]});
    }
    if (!status) return base::fail(status.error());
  }
  return report;
}

}  // namespace penstock::catalog
