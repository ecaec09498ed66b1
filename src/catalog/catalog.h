// Catalog watches the store and hands every new snapshot of the tenants to whoever subscribed.
//
// Without it, each worker would read the store itself, and a store that fails would stop logins. Here the
// last good snapshot stays in force until a better one can be read.
//
// Owner:      the server's composition root, by unique_ptr; it calls poll() about once per second.
// Home:       the control thread. Snapshots themselves are SHARED: subscribers post them to their own
//             threads.
// Invariants: 1. snapshot() is never null and never takes a step back because of a failure.
//             2. A tenant that did not change is the same object in the next snapshot, so that "changed" is a
//                comparison of pointers.
//             3. A change that edit() made is in force, even while something else in the store cannot be read.
//             4. Trouble is logged once when it begins or changes, and once when it ends.
// Errors:     open() fails when the first load does; later failures are trouble(), and in the log.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "catalog/store.h"
#include "model/catalog_snapshot.h"

namespace penstock::catalog {

class Catalog {
 public:
  using Subscriber = std::function<void(const model::SnapshotPtr& snapshot)>;

  static base::Result<std::unique_ptr<Catalog>> open(std::unique_ptr<Store> store);

  const model::SnapshotPtr& snapshot() const { return snapshot_; }
  const std::optional<base::Error>& trouble() const { return trouble_; }

  // Called at once with the current snapshot, and then with every new one. For the life of the catalog.
  void subscribe(Subscriber subscriber);

  // Loads if the store says that something has changed. True: there is a new snapshot.
  bool poll();
  // Reads everything anew in any case, and says why it could not.
  base::Status reload();
  // Calls `wake`, on any thread, when poll() has something to do before its time.
  void on_wake(std::function<void()> wake) { store_->on_change(std::move(wake)); }

  // Change the store and, when that worked, publish at once what is there now. See Store.
  base::Result<Edited> edit(std::string_view tenant_id, const Edit& edit, const EditOptions& options = {});
  base::Result<std::vector<Edited>> edit_all(const EditAll& edit, const EditOptions& options = {});
  base::Result<std::vector<AuditEntry>> audit(const AuditQuery& query = {}) { return store_->audit(query); }
  base::Status note(AuditEntry entry) { return store_->note(std::move(entry)); }

 private:
  Catalog(std::unique_ptr<Store> store, model::SnapshotPtr snapshot)
      : store_(std::move(store)), snapshot_(std::move(snapshot)) {}

  base::Status follow(const model::SnapshotPtr& known);
  void follow_own(std::span<const Edited> changes);
  void publish(const model::SnapshotPtr& fresh);
  void note_trouble(const base::Error& trouble);
  void note_health();

  std::unique_ptr<Store> store_;
  model::SnapshotPtr snapshot_;
  std::optional<base::Error> trouble_;
  std::vector<Subscriber> subscribers_;
};

}  // namespace penstock::catalog
