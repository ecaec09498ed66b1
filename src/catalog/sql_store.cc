#include "catalog/sql_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "catalog/timestamp.h"
#include "catalog/validate.h"

namespace penstock::catalog {

namespace {

using Kind = Database::Kind;
using model::TenantSpec;
using model::UserSpec;

base::Status check_revision(std::string_view id, std::uint64_t expected, std::uint64_t present) {
  if (expected == present) return {};
  const std::string words = expected == 0
                                ? fmt::format("tenant \"{}\" exists already", id)
                                : fmt::format("tenant \"{}\" has changed since revision {}", id, expected);
  return base::fail(
      base::kSerializationFailure, words,
      present == 0 ? "There is no such tenant now." : fmt::format("Its revision is {} now.", present),
      "Read it again, and repeat the change.");
}

base::Status check(Database& database, TenantSpec& tenant) {
  std::ranges::sort(tenant.users, {}, &UserSpec::name);
  if (const base::Status status = refuse_errors(problems_of(tenant)); !status) return status;
  return check_routes(database, tenant);
}

}  // namespace

void SqlStore::refresh_keys() {
  if (!common_.keys.is_given()) return;
  base::Result<auth::Keyring> fresh = read_keys(common_.keys);
  if (fresh && *fresh != keys_) keys_ = *std::move(fresh);
}

base::Result<model::SnapshotPtr> SqlStore::read(Database& database, const model::SnapshotPtr& known) {
  refresh_keys();
  base::Result<Transaction> transaction = Transaction::begin(database, Kind::kRead);
  if (!transaction) return base::fail(transaction.error());
  // The usual case: nobody else has changed anything since, and what we changed we know. That holds for the first look
  // after the change only: once a backup has been brought back, the same number is another version.
  const std::vector<model::TenantChange> own_changes = std::exchange(own_changes_, {});
  if (known != nullptr && !own_changes.empty() && known->version() + 1 == own_version_) {
    const base::Result<std::uint64_t> version = read_version(database);
    if (!version) return base::fail(version.error());
    if (*version == own_version_) return known->with(own_changes, own_version_);
  }
  return read_snapshot(table(database), common_.default_tenant, known);
}

base::Result<model::SnapshotPtr> SqlStore::load(const model::SnapshotPtr& known) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  return read(**database, known);
}

base::Status SqlStore::write(Database& database, Edited& edited, std::uint64_t version, const Actor& actor) {
  const model::WallTime now = wall_clock_now();
  const TenantSpec& subject = edited.after ? *edited.after : *edited.before;
  edited.revision = {
      .number = version, .created_at = edited.before ? edited.revision.created_at : now, .changed_at = now};
  if (const base::Status status =
          write_difference(table(database), edited.before, edited.after, edited.revision);
      !status) {
    return status;
  }
  if (!edited.after) edited.revision = {};
  const std::string_view action = !edited.before ? "create" : !edited.after ? "remove" : "change";
  return write_audit(database, {.at = now,
                                .actor = actor,
                                .action = std::string(action),
                                .tenant = subject.id,
                                .fields = changed_fields(edited.before, edited.after),
                                .revision = version});
}

base::Status SqlStore::finish(Transaction& transaction, Database& database, std::uint64_t version) {
  if (const base::Status status = announce(database, version); !status) return status;
  if (const base::Status status = transaction.commit(); !status) return status;
  wrote(database, version);
  return {};
}

void SqlStore::remember(std::span<const Edited> changes, std::uint64_t version) {
  own_version_ = version;
  own_changes_ = changes_of(changes);
}

base::Result<Edited> SqlStore::edit(std::string_view tenant_id, const Edit& edit,
                                    const EditOptions& options) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  refresh_keys();
  base::Result<Transaction> transaction = Transaction::begin(**database, Kind::kWrite);
  if (!transaction) return base::fail(transaction.error());
  base::Result<std::optional<StoredTenant>> stored = read_tenant(table(**database), tenant_id);
  std::optional<base::Error> unreadable;
  if (!stored && stored.error().sqlstate == base::kConfigFileError &&
      options.unreadable == Unreadable::kMayBeRemoved) {
    unreadable = stored.error();
    stored = read_outline(**database, tenant_id);
  }
  if (!stored) return base::fail(stored.error());

  Edited edited;
  if (*stored)
    edited = {.before = (*stored)->spec, .after = (*stored)->spec, .revision = (*stored)->revision};
  const std::uint64_t present = edited.revision.number;
  if (const base::Status status =
          check_revision(tenant_id, options.expected_revision.value_or(present), present);
      !status) {
    return base::fail(status.error());
  }
  if (const base::Status status = edit(edited.after); !status) return base::fail(status.error());
  PENSTOCK_ASSERT(!edited.after || edited.after->id == tenant_id);
  if (unreadable && edited.after) return base::fail(*std::move(unreadable));
  if (edited.after) {
    if (const base::Status status = check(**database, *edited.after); !status)
      return base::fail(status.error());
  }
  if (!edited.changed() || options.effect == Effect::kDryRun) return edited;
  const base::Result<std::uint64_t> version = raise_version(**database);
  if (!version) return base::fail(version.error());
  if (const base::Status status = write(**database, edited, *version, options.actor); !status) {
    return base::fail(status.error());
  }
  if (const base::Status status = finish(*transaction, **database, *version); !status) {
    return base::fail(status.error());
  }
  remember(std::span(&edited, 1), *version);
  return edited;
}

base::Result<std::vector<Edited>> SqlStore::edit_all(const EditAll& edit, const EditOptions& options) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  refresh_keys();
  base::Result<Transaction> transaction = Transaction::begin(**database, Kind::kWrite);
  if (!transaction) return base::fail(transaction.error());
  const base::Result<model::SnapshotPtr> now =
      read_snapshot(table(**database), common_.default_tenant, nullptr);
  if (!now) return base::fail(now.error());
  for (const auto& [id, expected] : options.expected_revisions) {
    const base::Status status = check_revision(id, expected, (*now)->revision_of(id).number);
    if (!status) return base::fail(status.error());
  }
  Tenants tenants;
  for (const model::TenantPtr& tenant : (*now)->tenants()) tenants.emplace(tenant->id, *tenant);
  if (const base::Status status = edit(tenants); !status) return base::fail(status.error());

  std::vector<Edited> changes;
  for (const model::TenantPtr& tenant : (*now)->tenants()) {
    if (!tenants.contains(tenant->id)) {
      changes.push_back({.before = *tenant, .revision = (*now)->revision_of(tenant->id)});
    }
  }
  for (auto& [id, tenant] : tenants) {
    PENSTOCK_ASSERT(tenant.id == id);
    std::ranges::sort(tenant.users, {}, &UserSpec::name);
    const model::TenantPtr before = (*now)->by_id(id);
    if (before != nullptr && *before == tenant) continue;
    changes.push_back({.before = before ? std::optional(*before) : std::nullopt,
                       .after = tenant,
                       .revision = (*now)->revision_of(id)});
  }
  if (changes.empty()) return changes;

  const base::Result<std::uint64_t> version = raise_version(**database);
  if (!version) return base::fail(version.error());
  // First all names become free that do not stay: a name may move from one tenant to another.
  for (const Edited& change : changes) {
    if (!change.before) continue;
    if (const base::Status status = clear_routes(**database, change.before->id); !status) {
      return base::fail(status.error());
    }
  }
  for (Edited& change : changes) {
    base::Status status;
    if (change.after) status = check(**database, *change.after);
    if (status) status = write(**database, change, *version, options.actor);
    if (!status) return base::fail(status.error());
  }
  if (options.effect == Effect::kDryRun) return changes;
  if (const base::Status status = finish(*transaction, **database, *version); !status) {
    return base::fail(status.error());
  }
  remember(changes, *version);
  return changes;
}

base::Result<std::vector<AuditEntry>> SqlStore::audit(const AuditQuery& query) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  base::Result<Transaction> transaction = Transaction::begin(**database, Kind::kRead);
  if (!transaction) return base::fail(transaction.error());
  return read_audit(**database, query);
}

base::Status SqlStore::note(AuditEntry entry) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  base::Result<Transaction> transaction = Transaction::begin(**database, Kind::kWrite);
  if (!transaction) return base::fail(transaction.error());
  entry.at = wall_clock_now();
  entry.revision = 0;
  if (const base::Status status = write_audit(**database, entry); !status) return status;
  return transaction->commit();
}

base::Result<SealReport> SqlStore::seals() {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  base::Result<Transaction> transaction = Transaction::begin(**database, Kind::kRead);
  if (!transaction) return base::fail(transaction.error());
  return report_seals(table(**database));
}

base::Result<SealReport> SqlStore::rotate_key(const Actor& actor) {
  const base::Result<Database*> database = this->database();
  if (!database) return base::fail(database.error());
  refresh_keys();
  if (keys_.empty()) {
    return base::fail(
        base::kObjectNotInPrerequisiteState, "no catalog key is configured", {},
        "Set server.catalog_key_file or PENSTOCK_CATALOG_KEY; `penstock catalog new-key` makes a key.");
  }
  base::Result<Transaction> transaction = Transaction::begin(**database, Kind::kWrite);
  if (!transaction) return base::fail(transaction.error());
  const base::Result<std::uint64_t> version = raise_version(**database);
  if (!version) return base::fail(version.error());
  const base::Result<SealReport> report = reseal(table(**database), *version);
  if (!report) return base::fail(report.error());
  if (report->plain + report->by_old_key == 0) return report;  // and the version stays
  const base::Status status = write_audit(**database, {.at = wall_clock_now(),
                                                       .actor = actor,
                                                       .action = "rotate-key",
                                                       .tenant = {},
                                                       .fields = {},
                                                       .revision = *version});
  if (!status) return base::fail(status.error());
  if (const base::Status done = finish(*transaction, **database, *version); !done) {
    return base::fail(done.error());
  }
  return report;
}

}  // namespace penstock::catalog
