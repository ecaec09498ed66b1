// resolve() finds the tenant a client means, and the user name without what only names the tenant.
//
// The first rule that names an existing tenant decides:
//   1. `reference=ID` in the start-up parameter `options`. It is meant as such: an unknown ID is an error.
//   2. What stands behind ".cluster." in the user name, if a cluster has that name; of its members, the one that its
//      clients are led to.
//   3. The user name's part behind its last dot, if a tenant has that id. The user is then what stands
//   before.
//      A dotted name whose last part is no tenant is a plain name; `reference=` keeps a name whole in every
//      case.
//   4. The TLS server name: listed by a tenant; otherwise its first label, if that is a tenant's id.
//   5. The database name, listed by a tenant.
//   6. The default tenant.
// So a name said on purpose beats what the connection happens to say, and a suffix beats TLS: `app.acme` over
// a TLS name of tenant `globex` is `acme`. That opens no door, because every tenant checks the login itself.
//
// Home:       any thread (pure functions).
// Errors:     nobody is meant: the session plays a login that fails, so that tenants cannot be told from
//             wrong passwords.
// See:        docs/manual/tenants.md
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "model/catalog_snapshot.h"

namespace penstock::catalog {

// What a client says about itself; empty where it says nothing.
struct ClientNames {
  std::string_view user = {};
  std::string_view options = {};      // the start-up parameter
  std::string_view server_name = {};  // from TLS
  std::string_view database = {};
};

enum class ResolveRule : std::uint8_t { kReference, kCluster, kUserSuffix, kServerName, kDatabase, kDefault };

struct Resolved {
  model::TenantPtr tenant;
  std::string user;  // without the tenant
  ResolveRule rule = ResolveRule::kDefault;
};

// For the log; the client only learns that its login failed.
struct Unresolved {
  std::string user;
  std::string reason;  // `options name tenant "x", which does not exist`
};

std::expected<Resolved, Unresolved> resolve(const model::CatalogSnapshot& snapshot, const ClientNames& names);

// `options` without its `reference=…`, which Postgres would refuse. Understood as Postgres reads it: words
// separated by blanks, a backslash takes away the meaning of what follows; as a word of its own, after "-c"
// or behind "--".
struct OptionsParts {
  std::string reference;  // empty: none; the last one counts
  std::string rest;       // byte by byte as it was, but for the words taken out and the blank before each
};
OptionsParts split_options(std::string_view options);

// Whom a client speaks of, whether or not there is such a tenant: by the rules above, without looking.
struct Stated {
  std::string tenant;
  std::string user;
};
Stated stated_names(const ClientNames& names);

std::string_view name_of(ResolveRule rule);

}  // namespace penstock::catalog
