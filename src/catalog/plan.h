// Plan: what would change if the catalog became what documents say. It is shown first and made true afterwards, as it
// was shown or not at all.
//
// Differs from an import in what documents leave out: nothing is removed without kPrune, neither a tenant nor a user;
// and a tenant that they do not say is banned or not stays as it is: bans are made by those who watch, not by files.
//
// Home:       any thread (pure functions).
// Invariants: apply_plan() changes what the plan shows and nothing else. That the catalog is still as it was, the
//             store checks by `expected` (Store::edit_all).
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "catalog/document.h"
#include "catalog/store.h"
#include "catalog/timestamp.h"
#include "catalog/validate.h"

namespace penstock::catalog {

enum class Prune : std::uint8_t { kNo, kYes };

// In the catalog, and not in the documents. `user` is empty: the tenant as a whole.
struct Stray {
  std::string tenant;
  std::string user = {};
  friend bool operator==(const Stray&, const Stray&) = default;
};

struct Plan {
  std::vector<Edited> changes = {};    // by tenant
  std::vector<Stray> strays = {};      // that stay; with kPrune there are none
  std::vector<Problem> problems = {};  // errors: it cannot be made true; warnings only of tenants that change

  bool is_empty() const { return changes.empty(); }
};

// `moment`: when bans begin that are new.
Plan make_plan(const model::CatalogSnapshot& now, const std::vector<TenantEntry>& entries, Prune prune,
               model::WallTime moment = wall_clock_now());

// The revisions that the plan was made from.
std::map<std::string, std::uint64_t, std::less<>> revisions_of(const Plan& plan);
// For Store::edit_all.
void apply_plan(const Plan& plan, Tenants& tenants);

// What programs and people are shown of it; of a secret only that it changes:
//   {"changes":[{"action":"change","tenant":"acme","revision":7,
//     "fields":[{"field":"pool_size","action":"change","before":"20","after":"40"}],
//     "users":[{"action":"add","user":"app","fields":[{"field":"secret","action":"add"}]}]}],
//    "strays":[{"tenant":"old"}],"warnings":["tenants.acme.…: …"]}
boost::json::object json_of(const Plan& plan);

}  // namespace penstock::catalog
