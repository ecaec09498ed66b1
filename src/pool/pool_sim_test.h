// PoolTest: one pool (or two shards of one) on simulated loops, before a server that does as told.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/pool.h"
#include "support/scripted_postgres.h"

namespace penstock::pool::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A session without a client.
class Customer final : public Waiter, public upstream::UpstreamUser {
 public:
  Customer(std::string its_name, std::vector<std::string>& order)
      : name(std::move(its_name)), order_(order) {}
  void on_granted(upstream::Upstream& granted) override {
    upstream = &granted;
    granted.set_user(*this);
    order_.push_back(name);
  }
  void on_refused(const base::Error& error) override {
    refused = error;
    order_.push_back("not " + name);
  }
  void on_upstream_data(upstream::Upstream& from, io::Chunk bytes) override {
    from.scanner.feed(bytes.view());
    for (auto event = from.scanner.next(); event.kind != pgwire::FrameScanner::Kind::kMore;
         event = from.scanner.next()) {
      if (!from.track(event, *settings)) from.broken = true;
    }
  }
  void on_upstream_end(upstream::Upstream&, const base::Error*) override { ended = true; }
  bool served() const { return upstream != nullptr; }

  const std::string name;
  upstream::Upstream* upstream = nullptr;
  upstream::SettingsTable* settings = nullptr;
  std::optional<base::Error> refused;
  bool ended = false;

 private:
  std::vector<std::string>& order_;
};

// What one worker has.
struct Worker {
  explicit Worker(io::SimWorld& world, unsigned its_number)
      : number(its_number), loop(world.make_loop("worker")), scram_keys(world.random()) {}
  unsigned number;
  std::unique_ptr<io::SimLoop> loop;
  auth::ScramKeyCache scram_keys;
  upstream::SettingsTable settings;
  std::unique_ptr<Pool> pool;
};

class PoolTest : public ::testing::Test {
 public:
  PoolTest() {
    plan.hosts = {{.host = "10.0.0.5"}};
    plan.user = "alice";
    plan.database = "shop";
    config.tenant = "acme";
    config.user = "alice";
    config.database = "shop";
    config.size = 2;
  }
  ~PoolTest() override {
    for (Worker& worker : workers) {
      run_on(worker, [&] { worker.pool.reset(); });
    }
    let(seconds(5));
  }

  PoolConfigPtr make_config() {
    auto made = std::make_shared<PoolConfig>(config);
    made->plan = std::make_shared<upstream::DialPlan>(plan);
    return made;
  }
  // The pool, or a further shard of it.
  Pool& make_pool(const std::string& key = "acme/shop/alice") {
    Worker& worker = workers.emplace_back(world, static_cast<unsigned>(workers.size()));
    worker.pool = std::make_unique<Pool>(
        PoolHome{.worker = worker.number,
                 .tools = {.loop = *worker.loop, .resolver = resolver, .scram_keys = worker.scram_keys},
                 .settings = worker.settings,
                 .ledger = ledger,
                 .make_room = [this](const ScopePtr& scope) { make_room(scope); },
                 .counters = &counters},
        key, make_config(), directory.hub(key, "acme/shop"));
    return *worker.pool;
  }
  Pool& pool() { return *workers.front().pool; }
  // All pools get another configuration.
  void change(const std::function<void(PoolConfig&)>& how) {
    for (Worker& worker : workers) {
      auto changed = std::make_shared<PoolConfig>(worker.pool->config());
      how(*changed);
      run_on(worker, [&] { worker.pool->change_config(changed); });
    }
  }

  // Runs `call` in a turn of the worker's loop.
  void run_on(Worker& worker, std::move_only_function<void()> call) {
    bool done = false;
    worker.loop->post([&] {
      call();
      done = true;
    });
    world.run_until([&] { return done; }, world.now() + seconds(60));
  }
  void run(std::move_only_function<void()> call) { run_on(workers.front(), std::move(call)); }
  void let(base::Duration time) { world.run_until(world.now() + time); }

  Customer& customer(std::string name) { return customers.emplace_back(std::move(name), order); }
  // Comes and waits, if need be.
  Customer& come(std::string name, upstream::SettingsPtr wanted = nullptr, unsigned worker = 0) {
    Customer& one = customer(std::move(name));
    one.settings = &workers[worker].settings;
    run_on(workers[worker], [&] { workers[worker].pool->check_out(one, wanted); });
    return one;
  }
  // Comes, and is served by the time this returns.
  Customer& serve(std::string name, upstream::SettingsPtr wanted = nullptr, unsigned worker = 0) {
    Customer& one = come(std::move(name), std::move(wanted), worker);
    EXPECT_TRUE(world.run_until([&] { return one.served(); }, world.now() + seconds(60))) << one.name;
    return one;
  }
  void give_back(Customer& one, bool reset = false, unsigned worker = 0) {
    run_on(workers[worker],
           [&] { workers[worker].pool->release(*std::exchange(one.upstream, nullptr), reset); });
  }
  // Asks the server and does not wait for the answer.
  // As a client's query.
  void ask(Customer& one, std::string_view sql) {
    run([&] {
      one.upstream->send_query(sql);
      one.upstream->replies.back().visible = true;
    });
  }
  void ask_and_hear(Customer& one, std::string_view sql) {
    ask(one, sql);
    EXPECT_TRUE(world.run_until([&] { return one.upstream->replies.empty(); }, world.now() + seconds(10)));
  }
  // The server's end of a connection.
  sim::ScriptedPeer& peer_of(const Customer& one) {
    for (const auto& peer : server->peers) {
      if (peer->pid == one.upstream->process_id) return *peer;
    }
    ADD_FAILURE() << "no such connection";
    return *server->peers.front();
  }
  void on_server(std::move_only_function<void()> call) {
    far->post(std::move(call));
    let(milliseconds(10));
  }
  // Every log-in is answered with this error.
  void refuse(std::string_view sqlstate, std::string_view text) {
    server->script = [answer = sim::error_message("FATAL", sqlstate, text)](sim::ScriptedPeer& peer,
                                                                            const sim::Message& message) {
      if (message.type != 0) return false;
      peer.send(answer);
      peer.close();
      return true;
    };
  }
  void welcome() {
    server->script = [](sim::ScriptedPeer&, const sim::Message&) { return false; };
  }
  void make_room(const ScopePtr& scope) {
    for (Worker& worker : workers) {
      worker.loop->post([&worker, scope] {
        if (worker.pool != nullptr) worker.pool->yield_idle(scope);
      });
    }
  }

  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> far = world.make_loop("server");
  std::unique_ptr<sim::ScriptedPostgres> server = std::make_unique<sim::ScriptedPostgres>(*far);
  io::Resolver resolver;
  Ledger ledger;
  PoolDirectory directory;
  telemetry::PoolCounterTable counters{100};
  upstream::DialPlan plan;
  PoolConfig config;
  std::vector<std::string> order;  // who was served (or not), in order
  std::deque<Customer> customers;
  std::deque<Worker> workers;
};

}  // namespace penstock::pool::testing
