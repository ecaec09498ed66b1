// CatalogSnapshot: all tenants at one moment, ready for look-up by everything a client can name them with.
//
// Home:       SHARED (immutable; workers hold it by shared_ptr<const>, the catalog swaps it whole).
// Invariants: ids, SNI names and database names are unique (the store refuses duplicates).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

class CatalogSnapshot {
 public:
  explicit CatalogSnapshot(std::vector<TenantPtr> tenants, std::string default_tenant = {},
                           std::uint64_t version = 0, TenantRevisions revisions = {});

  // Null when there is none.
  TenantPtr by_id(std::string_view id) const;
  TenantPtr by_sni(std::string_view server_name) const;               // case-insensitive
  TenantPtr by_database(std::string_view database) const;             // exact
  TenantPtr default_tenant() const;                                   // for plain names
  const std::vector<TenantPtr>& tenants() const { return tenants_; }  // by id
  std::uint64_t version() const { return version_; }
  TenantRevision revision_of(std::string_view id) const;  // number 0: there is no such tenant
  const TenantRevisions& revisions() const { return revisions_; }

  static const UserSpec* find_user(const TenantSpec& tenant, std::string_view name);

 private:
  std::vector<TenantPtr> tenants_;
  std::unordered_map<std::string, TenantPtr> by_id_;
  std::unordered_map<std::string, TenantPtr> by_sni_;
  std::unordered_map<std::string, TenantPtr> by_database_;
  TenantPtr default_;
  std::uint64_t version_;
  TenantRevisions revisions_;
};

using SnapshotPtr = std::shared_ptr<const CatalogSnapshot>;

}  // namespace penstock::model
