// SqlStore: what a catalog in an SQL database is, whichever database: edits, revisions, audit log, sealed secrets.
//
// Owner:      Catalog or a command, by unique_ptr.
// Home:       one thread.
// Invariants: 1. A secret is written sealed if there is a key.
//             2. Keys are read again when their file has changed; as long as it cannot be read, the old ones serve.
// Errors:     see Store.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "catalog/database.h"
#include "catalog/rows.h"
#include "catalog/secret_keys.h"
#include "catalog/store.h"

namespace penstock::catalog {

class SqlStore : public Store {
 public:
  base::Result<model::SnapshotPtr> load(const model::SnapshotPtr& known = nullptr) override;
  base::Result<Edited> edit(std::string_view tenant_id, const Edit& edit,
                            const EditOptions& options = {}) override;
  base::Result<std::vector<Edited>> edit_all(const EditAll& edit, const EditOptions& options = {}) override;
  base::Result<std::vector<AuditEntry>> audit(const AuditQuery& query = {}) override;
  base::Status note(AuditEntry entry) override;

  base::Result<SealReport> seals() override;
  base::Result<SealReport> rotate_key(const Actor& actor) override;

 protected:
  struct Common {
    std::string default_tenant = "default";  // see CatalogSnapshot
    KeySource keys = {};
  };
  SqlStore(Common common, auth::Keyring keys) : common_(std::move(common)), keys_(std::move(keys)) {}

  // Ready to work, connected again if need be.
  virtual base::Result<Database*> database() = 0;
  // A transaction of ours has changed something.
  virtual void wrote(Database& /*database*/, std::uint64_t /*version*/) {}
  // Within the transaction, before it commits.
  virtual base::Status announce(Database& /*database*/, std::uint64_t /*version*/) { return {}; }

  base::Result<model::SnapshotPtr> read(Database& database, const model::SnapshotPtr& known);
  const std::string& default_tenant() const { return common_.default_tenant; }
  const KeySource& key_source() const { return common_.keys; }

 private:
  Table table(Database& database) { return {.database = database, .keys = keys_, .random = random_}; }
  void refresh_keys();
  base::Status write(Database& database, Edited& edited, std::uint64_t version, const Actor& actor);
  void remember(std::span<const Edited> changes, std::uint64_t version);
  base::Status finish(Transaction& transaction, Database& database, std::uint64_t version);

  Common common_;
  auth::Keyring keys_;
  base::SystemRandom random_;
  // What our last edit has changed, and the catalog's version afterwards: the next read() need not read that back.
  std::uint64_t own_version_ = 0;
  std::vector<model::TenantChange> own_changes_;
};

}  // namespace penstock::catalog
