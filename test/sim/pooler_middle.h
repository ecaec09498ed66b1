// PoolerMiddle puts Penstock itself between simulated clients and servers: real workers on simulated loops.
//
// Owner:      a scenario.
// Home:       LOOP (all workers in the world's one thread)
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "io/sim_loop.h"
#include "server/worker.h"
#include "sim/scenario.h"

namespace penstock::sim {

class PoolerMiddle final : public Middle {
 public:
  struct Options {
    unsigned workers_max = 3;
    std::optional<int> limit_told = {};  // to the checker, if it is to be another than the pool's
    int pool_size_min = 1;
    int pool_size_max = 4;
    model::PoolMode mode = model::PoolMode::kTransaction;
    bool scram_clients = false;
    bool varied = false;  // settings of all kinds, for each seed and reload its own
  };
  PoolerMiddle(const MiddleSite& site, const Options& options);
  ~PoolerMiddle() override;

  // For ScenarioOptions::middle.
  static MiddleBuilder builder(Options options) {
    return [options](MiddleSite& site) { return std::make_unique<PoolerMiddle>(site, options); };
  }

  // What clients may ask of it. DISCARD ALL brings back what the upstream was started with, not what the
  // client was.
  static WorkOptions work() { return {.discard = false}; }

  io::Address client_address() const override { return address_; }
  void drain() override;
  bool is_drained() const override;
  void reconfigure() override;

 private:
  session::Instructions instructions();
  void vary(config::Settings& settings, model::TenantSpec& tenant);
  void tell_limit(const config::Settings& settings);

  const MiddleSite site_;
  const Options options_;
  io::SimWorld& world_;
  const int pool_size_;
  const bool spread_;
  const io::Address address_ = *io::Address::from_ip("10.0.0.9", 6432);
  server::Shared shared_;
  std::vector<io::SimLoop*> loops_;  // owned by the workers
  std::size_t drained_ = 0;
};

}  // namespace penstock::sim
