#include "sim/scenario.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "io/sim_loop.h"

namespace penstock::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::size_t kRecoveredBatches = 5;
constexpr auto kRecoveryTime = seconds(50);  // less than the patience of clients
constexpr auto kDrainTime = seconds(120);

class Scenario {
 public:
  explicit Scenario(const ScenarioOptions& options) : options_(options), world_(options.seed) {
    auto& random = world_.random();
    world_.set_faults(options_.faults ? io::SimFaults::some(random) : io::SimFaults::calm(random));
    // Order can be judged from outside only where the network is quick and even.
    if (options_.waiter_slack) world_.set_faults({});
    if (random.below(4) == 0) world_.set_turn_cost_max(milliseconds(2));
    server_loop_ = world_.make_loop("server");
    client_loop_ = world_.make_loop("clients");
    build_server();
    build_middle();
    build_clients();
    if (options_.waiter_slack) checkers_.waiters.enable(*options_.waiter_slack);
  }

  ScenarioResult run() {
    for (auto& client : clients_) client->start();
    if (options_.faults) plan_disasters();
    if (options_.reconfigures) plan_changes();
    world_.run_until(world_.now() + work_time());
    heal();
    if (options_.stops_midway && options_.faults && world_.random().below(3) == 0) {
      stop_middle();
    } else {
      recover();
    }
    drain();
    return {.verdict = checkers_.verdict,
            .trace_hash = world_.trace_hash(),
            .steps = world_.steps(),
            .answered = checkers_.requests.count(RequestChecker::Ending::kAnswered),
            .failed = checkers_.requests.count(RequestChecker::Ending::kFailed),
            .cut = checkers_.requests.count(RequestChecker::Ending::kCut)};
  }

 private:
  void build_server() {
    auto& random = world_.random();
    if (options_.passwords && random.below(5) == 0) server_options_.password = client_options_.password;
    server_options_.think_max = milliseconds(1 + random.below(10));
    if (options_.faults) {
      server_options_.die_per_mille = random.below(2) == 0 ? 0 : static_cast<unsigned>(random.below(30));
      server_options_.refuse_percent = random.below(2) == 0 ? 0 : static_cast<unsigned>(random.below(50));
    }
    server_ = std::make_unique<SimPostgres>(*server_loop_, checkers_, server_options_);
  }

  void build_middle() {
    if (!options_.middle) return;
    MiddleSite site{world_, checkers_, server_options_, client_options_, options_.users, options_.faults};
    middle_ = options_.middle(site);
    client_options_.address = middle_->client_address();
  }

  void build_clients() {
    auto& random = world_.random();
    client_options_.work = options_.work;
    client_options_.tolerant = options_.faults;
    client_options_.cancel_percent = options_.cancel_percent;
    if (middle_ == nullptr) client_options_.work.listen = random.below(4) == 0;
    if (options_.faults && random.below(2) == 0) client_options_.rude_per_mille = 50;
    for (auto count = 1 + random.below(static_cast<std::uint64_t>(options_.clients_max)); count > 0;
         --count) {
      client_options_.depth_max = 1 + random.below(6);
      if (options_.users.size() > 1)
        client_options_.user = options_.users[random.below(options_.users.size())];
      clients_.push_back(std::make_unique<SimClient>(*client_loop_, checkers_, client_options_));
    }
  }

  base::Duration work_time() { return world_.random_duration(milliseconds(50), options_.work_time_max); }

  void plan_disasters() {
    auto& random = world_.random();
    for (auto count = random.below(3); count > 0; --count) {
      world_.after(work_time(), [this] {
        server_->crash();
        world_.after(world_.random_duration({}, milliseconds(300)), [this] { server_->start(); });
      });
    }
    for (auto count = random.below(4); count > 0; --count) {
      world_.after(work_time(), [this] { server_->terminate_one(); });
    }
  }

  void plan_changes() {
    for (auto count = world_.random().below(4); count > 0; --count) {
      world_.after(work_time(), [this] { middle_->reconfigure(); });
    }
  }

  void heal() {
    checkers_.waiters.disable();
    world_.heal();
    server_->heal();
    for (auto& client : clients_) client->heal();
  }

  // Every client that is still there gets some work done.
  void recover() {
    std::vector<std::size_t> goals;
    for (const auto& client : clients_) goals.push_back(client->completed() + kRecoveredBatches);
    const auto recovered = [&] {
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (!clients_[i]->is_gone() && clients_[i]->completed() < goals[i]) return false;
      }
      return true;
    };
    if (world_.run_until(recovered, world_.now() + kRecoveryTime)) return;
    for (const auto& client : clients_) checkers_.verdict.violate(Rule::kRecovery, client->describe());
  }

  // Also while clients are at work: it may end when their transactions are over.
  void stop_middle() {
    stopped_ = true;
    middle_->drain();
    if (world_.run_until([this] { return middle_->is_drained(); }, world_.now() + kDrainTime)) return;
    checkers_.verdict.violate(Rule::kDrain, "the middle does not end");
    for (const auto& client : clients_) {
      if (!client->is_gone()) checkers_.verdict.violate(Rule::kDrain, client->describe());
    }
  }

  void drain() {
    for (auto& client : clients_) client->leave();
    const auto all_gone = [this] {
      return std::ranges::all_of(clients_, [](auto& c) { return c->is_gone(); });
    };
    if (!world_.run_until(all_gone, world_.now() + kDrainTime)) {
      for (const auto& client : clients_) {
        if (!client->is_gone()) checkers_.verdict.violate(Rule::kDrain, client->describe());
      }
    }
    if (checkers_.verdict.clean()) checkers_.requests.check_all_ended();
    if (middle_ != nullptr && !stopped_) stop_middle();
    checkers_.cancels.check_all_hits();
    world_.run_until(world_.now() + seconds(10));
    for (const auto& line : world_.describe_open_sockets()) checkers_.verdict.violate(Rule::kDrain, line);
    if (server_->backend_count() > 0) {
      checkers_.verdict.violate(Rule::kDrain, fmt::format("{} backends left", server_->backend_count()));
    }
  }

  const ScenarioOptions& options_;
  io::SimWorld world_;
  Checkers checkers_;
  SimPostgresOptions server_options_;
  SimClientOptions client_options_;
  std::unique_ptr<io::SimLoop> server_loop_;
  std::unique_ptr<io::SimLoop> client_loop_;
  std::unique_ptr<SimPostgres> server_;
  std::unique_ptr<Middle> middle_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  bool stopped_ = false;
};

std::uint64_t running_seed = 0;

// A crash is worth nothing without its seed.
void say_seed(int signal) {
  std::fprintf(stderr, "PENSTOCK_SIM_SEED=%llu\n", static_cast<unsigned long long>(running_seed));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

ScenarioResult run_scenario(const ScenarioOptions& options) {
  running_seed = options.seed;
  std::signal(SIGABRT, say_seed);
#ifdef NDEBUG  // sanitizers tell of it themselves
  std::signal(SIGSEGV, say_seed);
#endif
  return Scenario(options).run();
}

std::pair<std::uint64_t, std::uint64_t> seeds_to_run(std::uint64_t count) {
  const auto number_in = [](const char* name) -> std::uint64_t {
    const char* text = std::getenv(name);
    return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  };
  if (const auto seed = number_in("PENSTOCK_SIM_SEED"); seed != 0) return {seed, seed};
  const auto wanted = number_in("PENSTOCK_SIM_SEEDS");
  return {1, wanted != 0 ? wanted : count};
}

}  // namespace penstock::sim
