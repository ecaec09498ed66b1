// Worker: one thread with its own loop, listening sockets, sessions, pools and caches.
//
// Owner:      the Server.
// Home:       its own thread (LOOP), but for the constructor, start(), instruct(), drain() and join(), which the control
//             thread calls.
// Invariants: everything below `loop_` is touched by the worker's thread alone.
// Bounds:     the limits of settings; each session's own.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "io/loop.h"
#include "server/capacity.h"
#include "session/auth_query.h"
#include "session/pool_set.h"
#include "session/session.h"
#include "session/session_home.h"
#include "session/slow_log.h"
#include "telemetry/pool_counters.h"
#include "telemetry/worker_counters.h"

namespace penstock::server {

// What all workers share.
struct Shared {
  base::SystemRandom random;
  io::Resolver resolver;
  auth::ScramKeyCache scram_keys{random};
  auth::Key login_secret;
  session::VerifierTurns verifier_turns;
  session::LoginBans login_bans;
  // Has the catalog read on the control thread; `done` runs there, when the workers have been told what it says. Empty:
  // there is nothing to read.
  std::function<void(std::move_only_function<void()> done)> read_catalog;
  pool::Ledger ledger;
  // Made anew when the number of workers is known, before them.
  std::unique_ptr<pool::PoolDirectory> directory = std::make_unique<pool::PoolDirectory>();
  session::CancelRegistry cancels{random};
  session::IdentityTable identities;
  upstream::StatementTable statements;
  session::SlowLog slow_log;
  std::unique_ptr<telemetry::PoolCounterTable> pool_counters;  // made before the workers, too
  std::vector<std::unique_ptr<class Worker>> workers;
  std::atomic<std::size_t> ended_workers = 0;
};

class Worker {
 public:
  // `workers`: how many there will be.
  Worker(Shared& shared, unsigned index, unsigned workers, std::unique_ptr<io::Loop> loop,
         session::Instructions instructions);
  ~Worker();

  // Starts the thread.
  void start();
  // Listens; the first error comes back. Before start() only.
  base::Status listen(const std::vector<config::ListenerSettings>& listeners);

  // --- any thread ---
  std::string_view backend() const { return loop_->backend(); }
  std::size_t sockets_max() const { return sockets_max_; }
  bool has_room() const { return load_.load(std::memory_order_relaxed) < sockets_for_clients(sockets_max_); }
  void instruct(session::Instructions instructions);
  // Stops listening and ends each session when it is quiet; `drained` (on this worker's thread) when none is
  // left.
  void drain(std::move_only_function<void()> drained);
  // Ends all sessions, has what they run cancelled, and then the thread.
  void stop();
  void join();
  // A session that has logged in elsewhere settles here.
  void take_in(session::TravellerPtr traveller);
  void with_session(std::uint64_t id, std::move_only_function<void(session::Session*)> call);
  // Runs `call` on the worker's thread with what it has.
  using Sessions = std::unordered_map<std::uint64_t, std::unique_ptr<session::Session>>;
  void on_loop(std::move_only_function<void(session::PoolSet& pools, Sessions& sessions)> call);
  // Whether the tenant's servers let its users in; `done` on this worker's thread.
  void try_out(model::TenantPtr tenant, std::move_only_function<void(base::Status)> done);
  // CPU time of the thread so far; it never waits for the worker.
  double cpu_seconds() const;
  // Clients, those that log in included.
  std::size_t clients() const { return clients_.load(std::memory_order_relaxed); }
  const telemetry::WorkerCounters& counters() const { return counters_; }

 private:
  class Door;
  void accept(io::StreamPtr stream, session::Entrance entrance);
  void refuse(io::StreamPtr stream);
  void note_refused(std::string_view address, std::string_view why);
  void apply(session::Instructions instructions);
  void configure_loop();
  void note_load();
  void bury(session::Session& session);
  void make_room(const pool::ScopePtr& scope);
  void upkeep();
  void end_everything();
  void end_when_cancelled();
  // Why a client who has logged in may not stay, if so.
  base::Status is_welcome(const session::Session& session) const;
  void end_the_unwelcome();
  void end_if_unwelcome(session::Session& session);

  Shared& shared_;
  const unsigned index_;
  std::unique_ptr<io::Loop> loop_;
  const std::size_t sockets_max_;
  std::atomic<std::size_t> load_{
      0};  // sockets, as of the last session that came or went; written by the thread
  std::atomic<std::size_t> clients_{0};  // of sessions_; written by the thread
  std::thread thread_;

  telemetry::WorkerCounters counters_;
  session::Instructions instructions_;
  upstream::SettingsTable settings_table_;
  tls::HandshakeGate handshake_gate_;
  session::LoginPace login_pace_;
  auth::LoginVerifiers login_verifiers_;
  session::CatalogReread catalog_reread_;
  session::AuthQuery auth_query_;
  session::PoolSet pools_;
  session::SessionHome home_;
  std::vector<std::unique_ptr<Door>> doors_;
  Sessions sessions_;
  std::uint64_t next_session_ = 1;
  std::map<std::uint64_t, io::Task<base::Status>> trials_;  // as many as ApiService lets in
  std::uint64_t next_trial_ = 1;
  std::move_only_function<void()> drained_;
  int unattended_ = 0;  // cancel requests that nobody waits for
  io::Timer upkeep_timer_;
  io::Timer end_timer_;
  base::TimePoint end_at_{};  // at the latest
  bool has_ended_ = false;    // its pools are gone; the thread goes on until all workers have
};

}  // namespace penstock::server
