// HomeTest: one worker's SessionHome on a simulated loop, with a tenant "acme" on a server that does as told.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "session/auth_query.h"
#include "session/pool_set.h"
#include "session/session_home.h"
#include "support/run_task.h"
#include "support/scripted_postgres.h"

namespace penstock::session::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HomeTest : public ::testing::Test {
 public:
  HomeTest() {
    tenant.id = "acme";
    tenant.hosts = {{.host = "10.0.0.5"}};
    tenant.upstream_tls = model::TlsMode::kDisable;
    tenant.users = {{.name = "alice", .secret = "secret"}};
    settings.upstream_connect_timeout = seconds(3);
    instruct();
  }
  ~HomeTest() override {
    run([this] { pools.clear(); });
    let(seconds(5));
  }
  // Makes `tenant` and `settings` what the worker is told.
  void instruct() {
    instructions.settings = std::make_shared<const config::Settings>(settings);
    acme = std::make_shared<const model::TenantSpec>(tenant);
    instructions.catalog =
        std::make_shared<const model::CatalogSnapshot>(std::vector<model::TenantPtr>{acme});
  }
  // Runs `call` in a turn of the loop.
  void run(std::move_only_function<void()> call) {
    bool done = false;
    loop->post([&] {
      call();
      done = true;
    });
    world.run_until([&] { return done; }, world.now() + seconds(60));
  }
  void let(base::Duration time) { world.run_until(world.now() + time); }

  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> far = world.make_loop("server");
  sim::ScriptedPostgres server{*far};
  std::unique_ptr<io::SimLoop> loop = world.make_loop("worker");

  model::TenantSpec tenant;
  config::Settings settings;
  model::TenantPtr acme;
  Instructions instructions;

  io::Resolver resolver;
  auth::ScramKeyCache scram_keys{world.random()};
  upstream::SettingsTable settings_table;
  upstream::StatementTable statement_table;
  pool::Ledger ledger;
  pool::PoolDirectory directory;
  CancelRegistry cancels{world.random()};
  IdentityTable identities;
  tls::HandshakeGate handshake_gate{*loop, 0};
  LoginPace login_pace{*loop};
  auth::LoginVerifiers login_verifiers{auth::Key{}, scram_keys};
  VerifierTurns verifier_turns;
  LoginBans login_bans;
  std::function<void()> on_reread = [] {};  // what a new reading of the catalog changes
  CatalogReread catalog_reread{*loop, [this](std::move_only_function<void()> done) {
                                 on_reread();
                                 done();
                               }};
  AuthQuery auth_query;
  telemetry::WorkerCounters counters;
  PoolSet pools{{.worker = 0,
                 .tools = {.loop = *loop, .resolver = resolver, .scram_keys = scram_keys},
                 .settings = settings_table,
                 .ledger = ledger},
                directory};
  SessionHome home{.worker = 0,
                   .loop = *loop,
                   .tools = {.loop = *loop, .resolver = resolver, .scram_keys = scram_keys},
                   .instructions = instructions,
                   .settings_table = settings_table,
                   .statement_table = statement_table,
                   .identities = identities,
                   .pools = pools,
                   .ledger = ledger,
                   .cancels = cancels,
                   .handshake_gate = handshake_gate,
                   .login_pace = login_pace,
                   .login_verifiers = login_verifiers,
                   .verifier_turns = verifier_turns,
                   .login_bans = login_bans,
                   .catalog_reread = catalog_reread,
                   .auth_query = auth_query,
                   .counters = counters,
                   .with_session = {},
                   .worker_count = {},
                   .has_room = {},
                   .send_session = {},
                   .drop_unused_pools = {},
                   .bury = {}};
};

}  // namespace penstock::session::testing
