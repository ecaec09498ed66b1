// ApiService: the HTTP port of this process, and the Engine behind its API.
//
// Owner:      the Server, which tells it of reloads; dies after the workers have been joined.
// Home:       the control thread. What workers answer comes back through the control loop.
// Invariants: nothing here makes a worker wait.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "admin/api.h"
#include "http/server.h"
#include "server/worker.h"

namespace penstock::server {

// What the API is shown of the bans that log-ins bring about.
class BanDesk final : public admin::BanList {
 public:
  explicit BanDesk(session::LoginBans& bans) : bans_(bans) {}
  std::vector<admin::NetworkBan> list(std::string_view tenant) override;
  void lift(std::string_view tenant, const std::vector<std::string>& addresses) override;

 private:
  session::LoginBans& bans_;
};

class ApiService final : public admin::Engine {
 public:
  struct Process {
    http::Loop& loop;
    Shared& shared;
    catalog::Catalog& catalog;
    // As they are at the moment.
    std::function<const config::Loaded&()> loaded;
    std::function<std::size_t()> clients_max;
    std::function<base::Status()> reload;
    std::function<void()> drain;
  };
  explicit ApiService(Process process);
  ~ApiService() override;

  // Whether the files that the settings name can be used; nothing changes. Null TLS: none is wanted.
  struct Files {
    std::shared_ptr<const auth::TokenRules> rules;
    std::shared_ptr<const tls::ServerContext> tls;
  };
  static base::Result<Files> load_files(const config::Settings& settings, const tls::TicketKeys& ticket_keys);

  base::Status start(const config::Settings& settings, Files files);
  void use(Files files);
  // The tenants there are now: nothing is remembered of those that are gone.
  void follow(const model::CatalogSnapshot& snapshot);
  // Answers go out still, but /api/ready says that it is over.
  void begin_to_drain() { is_draining_ = true; }
  // Lets answers that are under way go out, for a second, and closes the port.
  void stop();

  // --- Engine ---
  catalog::Catalog& catalog() override { return process_.catalog; }
  const config::Loaded& configuration() const override { return process_.loaded(); }
  std::vector<std::string> unready() const override;
  admin::ProcessView process() override;
  admin::ProcessStart started() const override {
    return {.time = started_, .workers = process_.shared.workers.size()};
  }
  telemetry::PoolCounterTable& pool_counters() override { return *process_.shared.pool_counters; }
  admin::BanList& bans() override { return bans_; }
  void settle(std::move_only_function<void(bool)> done) override;
  std::vector<session::SlowQuery> slow_queries() override { return process_.shared.slow_log.recent(); }
  void look(admin::LookWish wish, std::move_only_function<void(admin::Findings)> done) override;
  bool may_try_out(const std::string& tenant) const override;
  void try_out(model::TenantPtr tenant, std::move_only_function<void(base::Status)> done) override;
  void kill_client(std::uint64_t id, std::vector<std::string> tenants,
                   std::move_only_function<void(std::string tenant)> done) override;
  void terminate(std::string tenant, std::move_only_function<void(std::size_t)> done) override;
  void reconnect(admin::PoolScope scope, std::move_only_function<void()> done) override;
  void drain(admin::PoolScope scope, std::move_only_function<void(std::size_t)> done) override;
  void pause(admin::PoolScope scope, std::chrono::milliseconds patience,
             std::move_only_function<void(std::size_t)> done) override;
  void resume(admin::PoolScope scope) override;
  const pool::PauseList& paused() const override { return *pauses_; }
  base::Status reload() override { return process_.reload(); }
  void drain() override { process_.drain(); }

 private:
  int upstreams_of(const admin::PoolScope& scope) const;
  void change_pauses(pool::PauseList pauses);
  bool may_wait_for_pause(const std::string& tenant) const;
  void await_closed(admin::PoolScope scope, std::chrono::steady_clock::time_point until,
                    std::move_only_function<void(std::size_t)> done);

  // As they were a moment ago: to count them, the kernel lists them all.
  struct OpenFiles {
    std::uint64_t count = 0;
    std::chrono::steady_clock::time_point counted_at{};
  };
  std::uint64_t open_files();

  Process process_;
  const std::chrono::system_clock::time_point started_;
  std::unique_ptr<admin::Api> api_;
  std::unique_ptr<http::Server> server_;
  BanDesk bans_;
  pool::PauseListPtr pauses_ = std::make_shared<const pool::PauseList>();
  std::multiset<std::string> trials_;          // the tenants that are being tried out
  std::multiset<std::string> waiting_pauses_;  // the tenants whose pauses have not been answered yet
  std::optional<OpenFiles> open_files_;
  bool is_draining_ = false;
};

}  // namespace penstock::server
