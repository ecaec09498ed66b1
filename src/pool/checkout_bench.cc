// What it costs to get an upstream and to give it back, without any byte sent: the ledger's reservations, which
// all workers share, and the check-out of a shard, which is a worker's own. A benchmark's thread is a worker.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "pool/pool.h"
#include "support/scripted_postgres.h"

namespace penstock::pool {
namespace {

constexpr int kManyPools = 1000;

// --- the ledger ---

// The scopes that a new upstream of this pool counts in: what is shared by all pools, and its own.
ScopesPtr scopes_of(Ledger& ledger, int pool) {
  const std::string number = std::to_string(pool);
  return ledger.scopes({"upstreams", "tenant " + number, "database " + number, "pool " + number});
}

void reserve(benchmark::State& state, int pools, int limit) {
  static Ledger ledger;
  std::vector<ScopesPtr> all;
  for (int i = 0; i < pools; ++i) all.push_back(scopes_of(ledger, i));
  std::size_t next = static_cast<std::size_t>(state.thread_index()) * 7919;
  std::int64_t refused = 0;
  for (auto _ : state) {
    const Reservation reservation = Reservation::take(all[next++ % all.size()], {0, 0, 0, limit});
    if (!reservation) ++refused;
    benchmark::DoNotOptimize(reservation);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["refused"] = benchmark::Counter(static_cast<double>(refused));
}
void reserve_hot_pool(benchmark::State& state) {
  reserve(state, 1, 1'000'000);
}
void reserve_small_pool(benchmark::State& state) {
  reserve(state, 1, 4);
}
void reserve_many_pools(benchmark::State& state) {
  reserve(state, kManyPools, 20);
}

// --- shards ---

// Takes whatever it is given and gives it back when asked to.
class Borrower final : public Waiter, public upstream::UpstreamUser {
 public:
  void on_granted(upstream::Upstream& granted) override {
    upstream = &granted;
    granted.set_user(*this);
  }
  void on_refused(const base::Error&) override {}
  void on_upstream_data(upstream::Upstream&, io::Chunk) override {}
  void on_upstream_end(upstream::Upstream&, const base::Error*) override {}
  upstream::Upstream* upstream = nullptr;
};

// A worker with its shards of all pools.
struct Worker {
  Worker(io::SimWorld& world, unsigned its_number)
      : number(its_number), loop(world.make_loop("worker")), scram_keys(world.random()) {}
  unsigned number;
  std::unique_ptr<io::SimLoop> loop;
  auth::ScramKeyCache scram_keys;
  upstream::SettingsTable settings;
  std::vector<std::unique_ptr<Pool>> pools;
};

// All workers, in one simulated world, where time stands still while they are measured: each benchmark's thread
// then touches its own worker only, as in the server.
class Hall {
 public:
  Hall(int workers, int pools, int servers) : directory_(static_cast<unsigned>(workers)) {
    for (int i = 0; i < workers; ++i) {
      Worker& worker = workers_.emplace_back(world_, static_cast<unsigned>(i));
      for (int number = 0; number < pools; ++number) add_pool(worker, number, servers * workers);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(pools); ++i)
      fill(i, static_cast<std::size_t>(servers));
  }
  ~Hall() {
    for (Worker& worker : workers_) {
      run(worker, [&] { worker.pools.clear(); });
    }
    world_.run_until(world_.now() + std::chrono::seconds(5));
  }
  Hall(const Hall&) = delete;

  Worker& worker(int index) { return workers_[static_cast<std::size_t>(index)]; }

 private:
  // Every shard of this pool gets its servers; all are taken at first, so that none moves between workers.
  void fill(std::size_t pool, std::size_t servers) {
    std::deque<Borrower> borrowers(servers * workers_.size());
    std::size_t next = 0;
    for (Worker& worker : workers_) {
      for (std::size_t i = 0; i < servers; ++i) {
        run(worker, [&] { worker.pools[pool]->check_out(borrowers[next++], nullptr); });
      }
    }
    const auto served = [&] {
      return std::ranges::all_of(borrowers, [](const Borrower& one) { return one.upstream != nullptr; });
    };
    PENSTOCK_ASSERT(world_.run_until(served, world_.now() + std::chrono::seconds(60)));
    next = 0;
    for (Worker& worker : workers_) {
      for (std::size_t i = 0; i < servers; ++i) {
        run(worker, [&] { worker.pools[pool]->release(*borrowers[next++].upstream, false); });
      }
    }
  }
  void run(Worker& worker, std::move_only_function<void()> call) {
    bool done = false;
    worker.loop->post([&] {
      call();
      done = true;
    });
    world_.run_until([&] { return done; }, world_.now() + std::chrono::seconds(60));
  }
  void add_pool(Worker& worker, int number, int size) {
    const std::string name = "tenant" + std::to_string(number);
    PoolConfig config;
    config.tenant = name;
    config.user = "app";
    config.database = "shop";
    config.size = size;
    upstream::DialPlan plan;
    plan.hosts = {{.host = "10.0.0.5"}};
    plan.user = "app";
    plan.database = "shop";
    config.plan = std::make_shared<upstream::DialPlan>(plan);
    worker.pools.push_back(std::make_unique<Pool>(
        PoolHome{.worker = worker.number,
                 .tools = {.loop = *worker.loop, .resolver = resolver_, .scram_keys = worker.scram_keys},
                 .settings = worker.settings,
                 .ledger = ledger_},
        name + "/shop/app", std::make_shared<PoolConfig>(config),
        directory_.hub(name + "/shop/app", name + "/shop")));
  }

  io::SimWorld world_{1};
  std::unique_ptr<io::SimLoop> far_ = world_.make_loop("server");
  sim::ScriptedPostgres server_{*far_};
  io::Resolver resolver_;
  Ledger ledger_;
  PoolDirectory directory_;  // of so many workers, as in the server
  std::deque<Worker> workers_;
};

std::unique_ptr<Hall>& hall() {
  static std::unique_ptr<Hall> one;
  return one;
}
void open_hall(const benchmark::State& state) {
  hall() = std::make_unique<Hall>(state.threads(), static_cast<int>(state.range(0)),
                                  static_cast<int>(state.range(1)));
}
void close_hall(const benchmark::State&) {
  hall().reset();
}

// An idle upstream is there: taken and given back; arguments: pools, servers of each worker.
void check_out_idle(benchmark::State& state) {
  Worker& worker = hall()->worker(state.thread_index());
  Borrower borrower;
  std::size_t next = 0;
  for (auto _ : state) {
    Pool& pool = *worker.pools[next++ % worker.pools.size()];
    pool.check_out(borrower, nullptr);
    pool.release(*std::exchange(borrower.upstream, nullptr), false);
  }
  state.SetItemsProcessed(state.iterations());
}

// More clients than upstreams: who comes has to wait, and what is given back goes to whoever waits longest.
void check_out_small_pool(benchmark::State& state) {
  Pool& pool = *hall()->worker(state.thread_index()).pools.front();
  std::deque<Borrower> borrowers(64);
  std::size_t next = 0;
  for (Borrower& borrower : borrowers) pool.check_out(borrower, nullptr);
  for (auto _ : state) {
    Borrower& served = borrowers[next++ % borrowers.size()];
    PENSTOCK_ASSERT(served.upstream != nullptr);
    pool.release(*std::exchange(served.upstream, nullptr), false);
    pool.check_out(served, nullptr);
  }
  state.SetItemsProcessed(state.iterations());
  Borrower& last = borrowers[next % borrowers.size()];
  for (Borrower& borrower : borrowers) {
    if (&borrower != &last) borrower.stop_waiting();
  }
  pool.release(*std::exchange(last.upstream, nullptr), false);
}

void check_out_hot_pool(benchmark::State& state) {
  check_out_idle(state);
}
void check_out_many_pools(benchmark::State& state) {
  check_out_idle(state);
}

BENCHMARK(reserve_hot_pool)->ThreadRange(1, 16)->UseRealTime();
BENCHMARK(reserve_small_pool)->ThreadRange(1, 16)->UseRealTime();
BENCHMARK(reserve_many_pools)->ThreadRange(1, 16)->UseRealTime();
BENCHMARK(check_out_hot_pool)
    ->Args({1, 4})
    ->Setup(open_hall)
    ->Teardown(close_hall)
    ->ThreadRange(1, 16)
    ->UseRealTime();
BENCHMARK(check_out_small_pool)
    ->Args({1, 1})
    ->Setup(open_hall)
    ->Teardown(close_hall)
    ->ThreadRange(1, 16)
    ->UseRealTime();
BENCHMARK(check_out_many_pools)
    ->Args({kManyPools, 1})
    ->Setup(open_hall)
    ->Teardown(close_hall)
    ->ThreadRange(1, 16)
    ->UseRealTime();

}  // namespace
}  // namespace penstock::pool
