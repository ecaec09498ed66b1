// SimPostgres is a simulated database server: it listens, keeps its backends, and dies as told.
//
// Owner:      a scenario.
// Home:       LOOP
// Invariants: backends_ holds every connection accepted and not yet closed.
// Bounds:     max_connections, beyond which 53300.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "io/sim_loop.h"
#include "support/checkers.h"

namespace penstock::sim {

class SimBackend;

struct SimPostgresOptions {
  io::Address address = *io::Address::from_ip("10.0.0.5", 5432);
  int max_connections = 100;
  std::string password = {};                                // empty: trust; else SCRAM-SHA-256
  base::Duration think_max = std::chrono::milliseconds(2);  // some statements take up to that
  unsigned notice_percent = 5;                              // statements that get a NoticeResponse first
  // Faults, until heal().
  unsigned die_per_mille = 0;   // statements at which the backend dies instead of answering
  unsigned refuse_percent = 0;  // log-ins answered with 57P03
};

class SimPostgres final : public io::AcceptSink {
 public:
  SimPostgres(io::SimLoop& loop, Checkers& checkers, SimPostgresOptions options);
  ~SimPostgres();

  // All backends die at once and nobody listens until start().
  void crash();
  void start();
  bool is_up() const { return listener_ != nullptr; }
  // One backend, any one: FATAL 57P01, as by pg_terminate_backend(); false when there is none.
  bool terminate_one();
  void heal();
  std::size_t backend_count() const { return backends_.size(); }
  std::size_t backends_ever() const { return last_pid_; }

  // --- for its backends ---
  void on_accept(io::StreamPtr stream) override;
  io::SimLoop& loop() { return loop_; }
  io::SimWorld& world() { return loop_.world(); }
  Checkers& checkers() { return checkers_; }
  const SimPostgresOptions& options() const { return options_; }
  void forget(std::uint32_t pid);  // destroys the backend later
  void cancel(std::uint32_t pid, const std::string& key);
  void notify(std::uint32_t from_pid, const std::string& channel, const std::string& payload);

 private:
  io::SimLoop& loop_;
  Checkers& checkers_;
  SimPostgresOptions options_;
  io::ListenerPtr listener_;
  std::map<std::uint32_t, std::unique_ptr<SimBackend>> backends_;
  std::uint32_t last_pid_ = 0;
};

}  // namespace penstock::sim
