// CatalogSnapshot: all tenants at one moment, ready for look-up by everything a client can name them with.
//
// Home:       SHARED (immutable; workers hold it by shared_ptr<const>, the catalog swaps it whole).
// Invariants: 1. Ids, SNI names and database names are unique (the store refuses duplicates).
//             2. One made from another by with() shares what is the same: its cost is that of what changes.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/shared_map.h"
#include "model/tenant.h"

namespace penstock::model {

using TenantPtr = std::shared_ptr<const TenantSpec>;

// Which state of a tenant this is.
struct TenantRevision {
  std::uint64_t number = 0;  // larger after every change, and never used twice, not even after a removal
  WallTime created_at = {};
  WallTime changed_at = {};
  friend bool operator==(const TenantRevision&, const TenantRevision&) = default;
};
using TenantRevisions = std::unordered_map<std::string, TenantRevision>;  // by id

struct TenantChange {
  std::string id;
  TenantPtr tenant;  // null: there is none any more
  TenantRevision revision = {};
};

class CatalogSnapshot {
 public:
  explicit CatalogSnapshot(const std::vector<TenantPtr>& tenants, std::string default_tenant = {},
                           std::uint64_t version = 0, const TenantRevisions& revisions = {},
                           std::string login_secret = {});
  // This one, with these changes.
  std::shared_ptr<const CatalogSnapshot> with(const std::vector<TenantChange>& changes,
                                              std::uint64_t version) const;

  // Null when there is none.
  TenantPtr by_id(std::string_view id) const;
  TenantPtr by_sni(std::string_view server_name) const;    // case-insensitive
  TenantPtr by_database(std::string_view database) const;  // exact
  // The member of the cluster whom its clients are led to: the first by id that may write and is in use.
  TenantPtr by_cluster(std::string_view alias) const;
  std::vector<TenantPtr> members_of(std::string_view alias) const;  // by id
  TenantPtr default_tenant() const;                                 // for plain names
  std::size_t size() const { return index_.tenants.size(); }
  // By id. The list is made when it is asked for: it costs as much as there are tenants.
  const std::vector<TenantPtr>& tenants() const;
  std::uint64_t version() const { return version_; }
  TenantRevision revision_of(std::string_view id) const;  // number 0: there is no such tenant
  // The same on all nodes and after each start: what users who do not exist must look like is derived from it.
  // Empty: the store has none.
  const std::string& login_secret() const { return login_secret_; }

  // Calls `call(id, before, after)` for each tenant that is not the same object in both; null: there is none.
  template <class Call>
  static void each_difference(const CatalogSnapshot& before, const CatalogSnapshot& after, Call call) {
    SharedMap<Stored>::each_difference(before.index_.tenants, after.index_.tenants,
                                       [&](const std::string& id, const Stored* old, const Stored* now) {
                                         call(id, old == nullptr ? nullptr : old->tenant,
                                              now == nullptr ? nullptr : now->tenant);
                                       });
  }

  static const UserSpec* find_user(const TenantSpec& tenant, std::string_view name);

 private:
  struct Stored {
    TenantPtr tenant;
    TenantRevision revision;
    bool operator==(const Stored& other) const { return tenant == other.tenant; }
  };
  // By what leads to a tenant. Members of clusters stand as "alias", a zero byte, and their id.
  struct Index {
    SharedMap<Stored> tenants;
    SharedMap<TenantPtr> sni, database, member;

    void add(const TenantPtr& tenant, const TenantRevision& revision);
    void remove(const TenantSpec& tenant);
  };
  CatalogSnapshot(std::uint64_t version, const CatalogSnapshot& before, Index index);

  Index index_;
  std::string default_id_;
  std::uint64_t version_;
  std::string login_secret_;
  mutable std::once_flag listed_;
  mutable std::vector<TenantPtr> list_;  // once listed_
};

using SnapshotPtr = std::shared_ptr<const CatalogSnapshot>;

}  // namespace penstock::model
