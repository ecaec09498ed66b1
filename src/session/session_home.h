// SessionHome: what a session finds on its worker.
//
// Owner: the Worker; all references outlive every session. Home: LOOP (what is shared between threads says so
// itself).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "auth/scram_server.h"
#include "catalog/resolve.h"
#include "config/settings.h"
#include "io/loop.h"
#include "model/catalog_snapshot.h"
#include "pool/ledger.h"
#include "pool/pool.h"
#include "session/cancel_registry.h"
#include "session/catalog_reread.h"
#include "session/identity.h"
#include "session/login_bans.h"
#include "session/login_pace.h"
#include "session/verifier_turns.h"
#include "telemetry/worker_counters.h"
#include "tls/context.h"
#include "tls/handshake_gate.h"
#include "upstream/settings.h"
#include "upstream/statement.h"

namespace penstock::session {

class AuthQuery;
class Session;
class PoolSet;
class SlowLog;

// What a worker is told from outside; replaced whole on a reload or a change of the catalog.
struct Instructions {
  std::shared_ptr<const config::Settings> settings;
  model::SnapshotPtr catalog;
  std::shared_ptr<const tls::ServerContext> client_tls;  // null: TLS is off
};

// The scope in which all clients of this process count, as errors name it.
inline constexpr std::string_view kAllClients = "this server (max_clients)";

// The scope in which the clients of a tenant count, as errors name it; and how many there are, on all workers.
inline std::string clients_scope(std::string_view tenant) {
  return "tenant \"" + std::string(tenant) + "\"";
}
inline int clients_of(pool::Ledger& ledger, std::string_view tenant) {
  return ledger.scope(clients_scope(tenant))->open.load(std::memory_order_relaxed);
}

struct SessionHome {
  unsigned worker;
  io::Loop& loop;
  upstream::DialTools tools;
  Instructions& instructions;
  upstream::SettingsTable& settings_table;
  upstream::StatementTable& statement_table;
  IdentityTable& identities;
  PoolSet& pools;
  pool::Ledger& ledger;
  CancelRegistry& cancels;
  tls::HandshakeGate& handshake_gate;
  LoginPace& login_pace;
  auth::LoginVerifiers& login_verifiers;
  VerifierTurns& verifier_turns;
  LoginBans& login_bans;
  CatalogReread& catalog_reread;
  AuthQuery& auth_query;
  telemetry::WorkerCounters& counters;
  // Runs `call` with the session of that id on its worker; null when it has gone meanwhile.
  std::function<void(CancelRegistry::Owner, std::move_only_function<void(Session*)>)> with_session;
  std::function<unsigned()> worker_count;
  // Whether another worker can take one more session.
  std::function<bool(unsigned worker)> has_room;
  // To another worker, where it goes on.
  std::function<void(unsigned worker, std::unique_ptr<struct Traveller>)> send_session;
  // The session has logged in, by what was true when it began to: that may have changed.
  std::function<void(Session&)> logged_in = [](Session&) {};
  // Drops the pools of a tenant that no client has, on all workers.
  std::function<void(const std::string& tenant)> drop_unused_pools;
  // The session has ended; it is to be destroyed at the end of the turn.
  std::function<void(Session&)> bury;
  bool draining = false;
  SlowLog* slow_log = nullptr;  // null: nobody reads it
};

}  // namespace penstock::session
