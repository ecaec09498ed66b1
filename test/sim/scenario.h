// A scenario: simulated servers, clients, faults and, if wanted, something in the middle, all from one seed.
//
// Phases: work with faults; heal; everyone must get work done again; everyone leaves; nothing may be left.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/sim_world.h"
#include "support/checkers.h"
#include "support/sim_client.h"
#include "support/sim_postgres.h"

namespace penstock::sim {

// What stands between clients and server: nothing, a toy, or the pooler itself.
class Middle {
 public:
  virtual ~Middle() = default;
  virtual io::Address client_address() const = 0;
  // Begin to end once all clients have gone; closes what it holds.
  virtual void drain() = 0;
  virtual bool is_drained() const = 0;
  // While clients work: changes what may be changed at any time.
  virtual void reconfigure() {}
};

struct MiddleSite {
  io::SimWorld& world;
  Checkers& checkers;
  const SimPostgresOptions& server;
  const SimClientOptions& client;
  const std::vector<std::string>& users;  // who may come
  bool tolerant;                          // whether there will be faults
};
using MiddleBuilder = std::function<std::unique_ptr<Middle>(MiddleSite&)>;

struct ScenarioOptions {
  std::uint64_t seed = 1;
  bool faults = false;
  int clients_max = 5;
  WorkOptions work;
  base::Duration work_time_max = std::chrono::milliseconds(600);
  unsigned cancel_percent = 30;
  bool passwords = true;                       // some servers want SCRAM
  std::optional<base::Duration> waiter_slack;  // set: waiters are checked for order
  std::vector<std::string> users = {"app"};    // clients come as any of them
  bool reconfigures = false;                   // the middle is told to, now and then
  bool stops_midway = false;  // some seeds: the middle drains while clients work (with faults)
  MiddleBuilder middle;       // empty: clients talk to the server itself
};

struct ScenarioResult {
  Verdict verdict;
  std::uint64_t trace_hash = 0;
  std::uint64_t steps = 0;
  std::size_t answered = 0;
  std::size_t failed = 0;
  std::size_t cut = 0;
};

ScenarioResult run_scenario(const ScenarioOptions& options);

// The seeds a test runs: PENSTOCK_SIM_SEED alone, or 1 … PENSTOCK_SIM_SEEDS (else `count`).
std::pair<std::uint64_t, std::uint64_t> seeds_to_run(std::uint64_t count);

}  // namespace penstock::sim
