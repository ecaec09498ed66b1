#include "session/identity.h"

#include <fmt/format.h>

namespace penstock::session {

IdentityPtr IdentityTable::intern(Identity identity) {
  // Everything that two clients of one user may differ in; the rest follows from it.
  const std::string key = fmt::format(
      "{}\n{}\n{}\n{}\n{}\n{}{}{}\n{}/{}/{}/{}/{}/{}", fmt::ptr(identity.tenant.get()), identity.user,
      identity.database, identity.application_name, identity.tls, static_cast<int>(identity.mode),
      static_cast<int>(identity.replication), identity.protocol_minor, identity.query_wait.count(),
      identity.query.count(), identity.transaction.count(), identity.idle_transaction.count(),
      identity.client_idle.count(), identity.heartbeat.count());
  return table_.find_or_make(key, [&] { return std::make_shared<const Identity>(std::move(identity)); });
}

}  // namespace penstock::session
