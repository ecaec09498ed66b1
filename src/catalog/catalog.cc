#include "catalog/catalog.h"

#include <utility>

#include "telemetry/log.h"

namespace penstock::catalog {

namespace log = telemetry::log;

namespace {

// `fresh` with the objects of `old` for every tenant that is the same in both.
model::SnapshotPtr share_unchanged(const model::CatalogSnapshot& old, const model::SnapshotPtr& fresh) {
  std::vector<model::TenantChange> same;
  model::CatalogSnapshot::each_difference(
      old, *fresh, [&](const std::string& id, const model::TenantPtr& before, const model::TenantPtr& after) {
        if (before == nullptr || after == nullptr || *before != *after) return;
        same.push_back({.id = id, .tenant = before, .revision = fresh->revision_of(id)});
      });
  return same.empty() ? fresh : fresh->with(same, fresh->version());
}

}  // namespace

base::Result<std::unique_ptr<Catalog>> Catalog::open(std::unique_ptr<Store> store) {
  base::Result<model::SnapshotPtr> first = store->load();
  if (!first) return base::fail(first.error());
  return std::unique_ptr<Catalog>(new Catalog(std::move(store), *std::move(first)));
}

void Catalog::subscribe(Subscriber subscriber) {
  subscriber(snapshot_);
  subscribers_.push_back(std::move(subscriber));
}

bool Catalog::poll() {
  const base::Result<bool> changed = store_->changed_since(snapshot_->version());
  if (!changed) {
    note_trouble(changed.error());
    return false;
  }
  // What could not be loaded has not been seen: it counts as changed until it can.
  if (*changed) return follow(snapshot_).has_value();
  note_health();
  return false;
}

base::Status Catalog::reload() {
  (void)follow(nullptr);
  if (trouble_) return base::fail(*trouble_);
  return {};
}

base::Status Catalog::follow(const model::SnapshotPtr& known) {
  const base::Result<model::SnapshotPtr> fresh = store_->load(known);
  if (!fresh) {
    note_trouble(fresh.error());
    return base::fail(fresh.error());
  }
  // A store may give what it knows and be in trouble all the same.
  const base::Result<bool> changed = store_->changed_since((*fresh)->version());
  if (changed) {
    note_health();
  } else {
    note_trouble(changed.error());
  }
  const bool is_new = (*fresh)->version() != snapshot_->version();
  publish(*fresh);
  if (is_new) log::info("catalog.changed", {{"tenants", snapshot_->size()}});
  return {};
}

base::Result<Edited> Catalog::edit(std::string_view tenant_id, const Edit& edit, const EditOptions& options) {
  base::Result<Edited> edited = store_->edit(tenant_id, edit, options);
  if (edited && edited->changed() && options.effect == Effect::kStored) follow_own({&*edited, 1});
  return edited;
}

base::Result<std::vector<Edited>> Catalog::edit_all(const EditAll& edit, const EditOptions& options) {
  base::Result<std::vector<Edited>> edited = store_->edit_all(edit, options);
  if (edited && !edited->empty() && options.effect == Effect::kStored) follow_own(*edited);
  return edited;
}

// What was stored is in force, whatever else cannot be read. The version stays, so that poll() tries again.
void Catalog::follow_own(std::span<const Edited> changes) {
  if (!follow(snapshot_)) publish(snapshot_->with(changes_of(changes), snapshot_->version()));
}

void Catalog::publish(const model::SnapshotPtr& fresh) {
  snapshot_ = share_unchanged(*snapshot_, fresh);
  for (const Subscriber& subscriber : subscribers_) subscriber(snapshot_);
}

void Catalog::note_trouble(const base::Error& trouble) {
  const bool is_new = !trouble_ || trouble_->message != trouble.message;
  trouble_ = trouble;
  if (!is_new) return;
  log::error("catalog.failed",
             {{"version", snapshot_->version()},
              {"error", trouble.message},
              {"detail", trouble.detail},
              {"hint", trouble.hint}},
             "the catalog cannot be read; tenants stay as they were");
}

void Catalog::note_health() {
  if (!std::exchange(trouble_, std::nullopt)) return;
  log::info("catalog.recovered", {{"version", snapshot_->version()}}, "the catalog can be read again");
}

}  // namespace penstock::catalog
