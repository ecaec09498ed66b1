// Engine: what the API sees of the running process and can do with it. Without it, this module would have to know
// workers, which know everything.
//
// Owner: the composition root, which implements it. Home: the control thread; what is answered later is answered there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "config/load.h"
#include "pool/pause_list.h"
#include "session/slow_log.h"
#include "telemetry/pool_counters.h"
#include "telemetry/worker_counters.h"

namespace penstock::admin {

// What a pool does: it serves; it is paused but has servers still; it is paused.
enum class PoolState : std::uint8_t { kActive, kPausing, kPaused };

std::string_view word_of(PoolState state);

struct PoolView {
  std::string tenant, user, database, mode;
  std::string role = {};  // who its server connections are
  std::string key =
      {};  // the same on all workers; pools of users with secrets of their own may differ in nothing else
  PoolState state = PoolState::kActive;
  int size = 0;
  std::size_t idle = 0, active = 0, cleaning = 0, connecting = 0, waiting = 0;
  std::chrono::milliseconds longest_wait{0};
  std::string last_error = {};  // of connecting; empty: the last attempt went well
  bool is_counted = true;       // the metrics know it by name
};

// All pools of a tenant, or one of them.
struct PoolScope {
  std::string tenant;
  std::string user = {};  // at the server; empty: all pools
  std::string database = {};

  pool::PoolName pool() const { return {.tenant = tenant, .database = database, .user = user}; }
  bool is_tenant() const { return user.empty(); }
  bool has(const pool::PoolName& name) const { return is_tenant() ? name.tenant == tenant : name == pool(); }
};

struct ClientView {
  std::uint64_t id = 0;
  unsigned worker = 0;
  std::string tenant, user, database, application_name, address, state, tls;
};

struct ServerView {
  std::uint64_t id = 0;
  unsigned worker = 0;
  std::string tenant, user, database, host, state, tls;
  std::uint32_t process_id = 0;
};

// What to look at; empty text: all.
struct LookWish {
  bool pools = false, clients = false, servers = false;
  bool as_counted = false;  // pools that the metrics do not know by name are one, "_other" of their tenant
  std::string tenant = {};
  std::vector<std::string> tenants = {};  // of the token; empty: all
  std::size_t limit = 1000;               // of clients and servers, per worker
};

struct Findings {
  std::vector<PoolView> pools;  // shards of several workers as one
  std::vector<ClientView> clients;
  std::vector<ServerView> servers;
};

struct WorkerView {
  double cpu_seconds = 0;
  std::size_t clients = 0;
  const telemetry::WorkerCounters* counters = nullptr;
};

struct ProcessView {
  std::vector<WorkerView> workers;
  std::size_t clients_max = 0;
  std::chrono::system_clock::time_point started{};
  double cpu_seconds = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t open_files = 0;
  std::uint64_t api_requests = 0, api_connections = 0, api_refused = 0;
};

// What does not change any more: for those who need no token, costs nothing.
struct ProcessStart {
  std::chrono::system_clock::time_point time{};
  std::size_t workers = 0;
};

// An address from which nobody can log in to a tenant for a while: too many passwords from there were wrong.
struct NetworkBan {
  std::string address;
  std::chrono::system_clock::time_point until{};
};

// The bans in force. Called on the control thread; what is behind it may be used by workers at the same time.
class BanList {
 public:
  virtual ~BanList() = default;
  virtual std::vector<NetworkBan> list(std::string_view tenant) = 0;
  // They may log in again at once; addresses that are not banned are passed over.
  virtual void lift(std::string_view tenant, const std::vector<std::string>& addresses) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual catalog::Catalog& catalog() = 0;
  virtual const config::Loaded& configuration() const = 0;
  // Why the process takes no clients, or should get none; empty: it is ready. A catalog that cannot be read is no
  // reason: clients are served, and one that several nodes share would take them all away from their balancer.
  virtual std::vector<std::string> unready() const = 0;
  virtual ProcessView process() = 0;
  virtual ProcessStart started() const = 0;
  virtual telemetry::PoolCounterTable& pool_counters() = 0;
  virtual BanList& bans() = 0;
  // When all workers follow what catalog and configuration say at the call (true), or when they take too long.
  virtual void settle(std::move_only_function<void(bool all_did)> done) = 0;
  // Newest first.
  virtual std::vector<session::SlowQuery> slow_queries() = 0;
  virtual void look(LookWish wish, std::move_only_function<void(Findings)> done) = 0;
  // False: enough tenants are being tried out at the moment, or this one is often enough.
  virtual bool may_try_out(const std::string& tenant) const = 0;
  // Whether the tenant's servers let its users in, and its auth_query works. Tells the first thing that is wrong.
  virtual void try_out(model::TenantPtr tenant, std::move_only_function<void(base::Status)> done) = 0;
  // Ends the client of that id, if it is one of these tenants' (empty: all). Tells whose it was;
  // empty: there was none.
  virtual void kill_client(std::uint64_t id, std::vector<std::string> tenants,
                           std::move_only_function<void(std::string tenant)> done) = 0;
  // Ends the tenant's clients and server connections. Tells how many clients there were.
  virtual void terminate(std::string tenant, std::move_only_function<void(std::size_t)> done) = 0;
  // Server connections are replaced as they become free; clients stay.
  virtual void reconnect(PoolScope scope, std::move_only_function<void()> done) = 0;
  // Clients end when they are between transactions. Tells how many there were.
  virtual void drain(PoolScope scope, std::move_only_function<void(std::size_t)> done) = 0;
  // Clients wait, and server connections close as they become free. Tells, when all have or after `patience`, how many
  // are left; they are waited for still.
  virtual void pause(PoolScope scope, std::chrono::milliseconds patience,
                     std::move_only_function<void(std::size_t)> done) = 0;
  // Ends pauses of the scope and of what is in it.
  virtual void resume(PoolScope scope) = 0;
  virtual const pool::PauseList& paused() const = 0;
  virtual base::Status reload() = 0;
  virtual void drain() = 0;
};

}  // namespace penstock::admin
