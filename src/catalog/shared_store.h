// SharedStore is a server's view of a catalog in Postgres: always the last good state at hand, changes of other nodes
// at once, and a way to start while the database is down.
//
// Without it, the control thread would wait for a database that may be slow or gone.
//
// Owner:      Catalog, by unique_ptr.
// Home:       the control thread; a thread of its own (`watch_`) listens for changes and reads them. SYNC: `mutex_`
//             guards what both see.
// Invariants: 1. load() and changed_since() never wait for the database.
//             2. The state goes back to an older version only if the database did.
// Waits:      edits, audit() and note() ask the database in place, with its patience; they fail at once while it is known to
//             be down. A change made here is part of the state at once, even while the rest cannot be read.
// Errors:     see Store; trouble of the watching thread is what changed_since() gives.
// Bounds:     reconnects after 0.5 s to 30 s; a change is seen within kPollEvery even if no notification comes.
// See:        docs/internals/catalog.md
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "catalog/postgres_store.h"

namespace penstock::catalog {

class SharedStore final : public Store {
 public:
  struct Options {
    PostgresStore::Options postgres;
    std::string copy_file = {};                    // empty: none
    std::chrono::milliseconds poll_every{10'000};  // besides notifications
  };
  static base::Result<std::unique_ptr<SharedStore>> open(Options options);
  ~SharedStore() override;

  base::Result<model::SnapshotPtr> load(const model::SnapshotPtr& known = nullptr) override;
  base::Result<bool> changed_since(std::uint64_t version) override;
  base::Result<std::uint64_t> version() override;
  base::Result<Edited> edit(std::string_view tenant_id, const Edit& edit,
                            const EditOptions& options = {}) override;
  base::Result<std::vector<Edited>> edit_all(const EditAll& edit, const EditOptions& options = {}) override;
  base::Result<std::vector<AuditEntry>> audit(const AuditQuery& query = {}) override;
  base::Status note(AuditEntry entry) override;
  base::Result<SealReport> seals() override;
  void on_change(std::function<void()> wake) override;

 private:
  class StopEvent;
  explicit SharedStore(Options options);

  bool replace(const model::SnapshotPtr& known, model::SnapshotPtr fresh);

  // --- the control thread ---
  base::Result<PostgresStore*> editor();
  base::Status follow_own(std::span<const Edited> changes);

  // --- the watching thread ---
  void watch();
  base::Status watch_once();
  base::Status take_changes();
  void copy_if_due();
  void note(std::optional<base::Error> trouble);
  void wake();

  Options options_;
  std::unique_ptr<StopEvent> stop_;
  std::unique_ptr<PostgresStore> editor_;  // control thread

  std::unique_ptr<PostgresStore> reader_;  // watching thread
  std::uint64_t copied_version_ = 0;
  std::chrono::steady_clock::time_point next_copy_ = {};
  bool copy_failed_ = false;

  std::mutex mutex_;
  model::SnapshotPtr latest_;
  model::SnapshotPtr given_;  // what load() gave last
  std::optional<base::Error> trouble_;
  std::function<void()> wake_;
  std::thread watch_;
};

}  // namespace penstock::catalog
