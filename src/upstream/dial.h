// dial() opens and logs in one connection to Postgres: resolve, connect, TLS, authentication, until
// ReadyForQuery.
//
// Hosts are tried in turn, and all addresses of each; the first that accepts the log-in wins. A server that
// answers and refuses ends the search when another host could not decide otherwise (wrong password, no such
// database).
//
// Home:       LOOP (a coroutine of the pool that wants the connection; destroying it gives up)
// Waits:      connect_timeout for each address, login_timeout for the rest.
// Errors:     the server's own error where it sent one (with its SQLSTATE); else 08006, 08001-like with host
//             and reason.
// Source:     PostgreSQL manual, "Message Flow"; libpq's sslmode.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "auth/scram_client.h"
#include "auth/secret.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "io/task.h"
#include "model/tenant.h"
#include "pgwire/startup.h"
#include "tls/context.h"
#include "upstream/upstream.h"

namespace penstock::upstream {

// How we prove who we are: a password (plain or md5), or the SCRAM keys a client's own log-in has shown us.
struct Credential {
  std::optional<auth::Secret> secret;
  std::optional<auth::ScramKeys> keys;

  // A verifier alone proves nothing.
  bool usable() const {
    return keys.has_value() || (secret.has_value() && secret->kind() != auth::Secret::Kind::kScram);
  }
};

struct DialPlan {
  std::vector<model::HostPort> hosts;
  model::IpVersion ip_version = model::IpVersion::kAuto;  // of addresses that a host's name has
  std::string user;
  std::string database;
  pgwire::Parameters parameters;  // further start-up parameters
  Credential credential;
  // Tried when the server refuses that one: while a password is being changed, either may be in force.
  Credential other_credential = {};
  model::TlsMode tls_mode = model::TlsMode::kPrefer;
  std::shared_ptr<const tls::ClientContext> tls;  // null: TLS is off
  base::Duration connect_timeout = std::chrono::seconds(15);
  base::Duration login_timeout = std::chrono::seconds(15);
};

// Whether both lead to the same session at the same place, however they log in.
bool same_target(const DialPlan& a, const DialPlan& b);

// What dialling needs of the process.
struct DialTools {
  io::Loop& loop;
  io::Resolver& resolver;
  auth::ScramKeyCache& scram_keys;
  int* unattended = nullptr;  // how many cancel_unattended() are under way; null: nobody wants to know
};

io::Task<base::Result<LoggedIn>> dial(DialTools tools, std::shared_ptr<const DialPlan> plan);

// Which of a server's processes to interrupt.
struct CancelTarget {
  io::Address address;
  std::string host;
  std::uint32_t process_id = 0;
  std::string key;
};
template <class Connection>  // Upstream, LoggedIn
CancelTarget cancel_target(const Connection& connection) {
  return {.address = connection.address,
          .host = connection.host,
          .process_id = connection.process_id,
          .key = connection.cancel_key};
}

// Whether it is certain that a cancel request will do nothing more: the server has closed its connection
// after sending the signal, or the request never left. In doubt it may still arrive, and hit what runs then.
enum class CancelEnd : std::uint8_t { kCertain, kInDoubt };

// Asks the server to cancel what the process runs. Waits at most connect_timeout.
io::Task<CancelEnd> cancel(DialTools tools, std::shared_ptr<const DialPlan> plan, CancelTarget target);
// The same for a connection that nobody has any more. Begins at the end of the turn.
void cancel_unattended(DialTools tools, std::shared_ptr<const DialPlan> plan, CancelTarget target);

}  // namespace penstock::upstream
