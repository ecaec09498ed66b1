// Identity: what the log-in has found out about a client.
//
// Home: any thread (immutable values; the table has a mutex).
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/weak_table.h"
#include "model/catalog_snapshot.h"
#include "pgwire/startup.h"

namespace penstock::session {

struct Identity {
  model::TenantPtr tenant;
  std::string user;      // the client's, without the tenant
  std::string database;  // at the server
  std::string application_name;
  model::PoolMode mode = model::PoolMode::kTransaction;
  pgwire::Replication replication = pgwire::Replication::kNo;
  int protocol_minor = 0;
  std::string tls;  // "TLSv1.3/…" or empty
  // Times that end a session; zero: off.
  std::chrono::milliseconds query_wait{0}, query{0}, transaction{0}, idle_transaction{0}, client_idle{0};
  std::chrono::milliseconds heartbeat{0};  // how often an idle client is sent a sign of life; zero: never
  friend bool operator==(const Identity&, const Identity&) = default;
};
// Clients that are the same in all of it share one.
using IdentityPtr = std::shared_ptr<const Identity>;

class IdentityTable {
 public:
  IdentityPtr intern(Identity identity);

 private:
  base::WeakTable<const Identity> table_;
};

}  // namespace penstock::session
