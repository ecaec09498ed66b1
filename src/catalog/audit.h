// The audit log: who changed which fields of which tenant, when and from where, and who ordered what of running pools
// and clients. Values are not in it.
//
// Home:   any thread (plain values).
// Bounds: a store keeps the newest kAuditEntriesMax entries, and of each the first kAuditFieldsMax fields and how many
//         more there were.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/catalog_snapshot.h"
#include "model/tenant.h"

namespace penstock::catalog {

inline constexpr std::size_t kAuditEntriesMax = 100'000;
inline constexpr std::size_t kAuditFieldsMax = 100;

// Who changes something.
struct Actor {
  std::string name = "unknown";  // the user of a command, the subject of a token
  std::string origin = {};       // the address they come from, "command line"
};

struct AuditEntry {
  std::uint64_t number = 0;  // larger than that of every earlier entry
  model::WallTime at = {};
  Actor actor = {};
  std::string action = {};  // "create", "change", "remove"; "rotate-key"; orders: "pause", "kill-client", …
  std::string tenant = {};  // empty: the whole catalog, or the process
  std::vector<std::string> fields =
      {};                      // "pool_size", "users.app.secret"; "users.app" when added or removed; what
                               // an order is for: "pools.app.shop", "clients.7"
  std::uint64_t revision = 0;  // the revision that the change made; 0: it changed nothing in the catalog
};

struct AuditQuery {
  std::string tenant = {};                   // empty: all
  std::optional<std::uint64_t> before = {};  // entries older than this number
  std::size_t limit = 100;
  std::size_t bytes_max = SIZE_MAX;  // of the texts of all entries; one is given in any case
};

// What is kept of them: the first, "… and 7 more".
std::vector<std::string> abridged(std::vector<std::string> fields);

// The paths of all fields in which the two differ.
std::vector<std::string> changed_fields(const std::optional<model::TenantSpec>& before,
                                        const std::optional<model::TenantSpec>& after);

}  // namespace penstock::catalog
