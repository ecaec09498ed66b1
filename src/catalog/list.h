// list() gives the tenants of a snapshot page by page.
//
// Home: any thread (pure functions).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "model/catalog_snapshot.h"

namespace penstock::catalog {

struct ListQuery {
  std::string after = {};           // tenants whose id comes after this one
  std::size_t limit = 100;          // at least 1
  std::string search = {};          // in id, hosts, server names or database names, without regard to case
  std::optional<bool> banned = {};  // whether a ban is in force
};

struct Listing {
  std::vector<model::TenantPtr> tenants = {};  // by id
  std::string next = {};                       // `after` of the next page; empty: there is none
};

Listing list(const model::CatalogSnapshot& snapshot, const ListQuery& query, model::WallTime now);

}  // namespace penstock::catalog
