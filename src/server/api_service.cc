#include "server/api_service.h"

#include <sys/resource.h>  // HOUSE(syscall): the process as a whole: its memory and times
#include <unistd.h>        // HOUSE(syscall): the process as a whole: its memory and times

#include <filesystem>
#include <fstream>

#include "server/gathering.h"
#include "server/look.h"
#include "telemetry/log.h"

namespace penstock::server {

namespace log = telemetry::log;

namespace {

// How long the answer to a change waits for workers: one that has not got to its mailbox by then is in trouble.
constexpr std::chrono::milliseconds kSettleMax{2000};
constexpr std::chrono::seconds kOpenFilesKept{5};
// How long answers that are under way may take when the process ends.
constexpr std::chrono::milliseconds kFarewellMax{1000}, kFarewellStep{5};

// One part in each turn of the worker's loop, between which queries go on.
void look_on(Worker& worker, std::shared_ptr<Look> look,
             std::shared_ptr<Gathering<admin::Findings>> gathering) {
  worker.on_loop([&worker, look = std::move(look), gathering = std::move(gathering)](
                     session::PoolSet& pools, Worker::Sessions& sessions) mutable {
    if (look->step(pools, sessions)) return look_on(worker, std::move(look), std::move(gathering));
    gathering->add([look](admin::Findings& sum) { join(sum, look->take()); });
  });
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t count_open_files() {
  std::error_code error;
  std::uint64_t count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

std::vector<admin::NetworkBan> BanDesk::list(std::string_view tenant) {
  const base::TimePoint now = std::chrono::steady_clock::now();
  const auto today = std::chrono::system_clock::now();
  std::vector<admin::NetworkBan> bans;
  for (session::LoginBans::Ban& ban : bans_.list(tenant, now)) {
    const auto left = std::chrono::duration_cast<std::chrono::system_clock::duration>(ban.until - now);
    bans.push_back({.address = std::move(ban.address), .until = today + left});
  }
  return bans;
}

void BanDesk::lift(std::string_view tenant, const std::vector<std::string>& addresses) {
  bans_.lift(tenant, addresses);
  for (const std::string& address : addresses) {
    log::info("client.ban_lifted", {{"tenant", tenant}, {"address", address}});
  }
}

ApiService::ApiService(Process process)
    : process_(std::move(process)),
      started_(std::chrono::system_clock::now()),
      bans_(process_.shared.login_bans) {}

ApiService::~ApiService() = default;

base::Result<ApiService::Files> ApiService::load_files(const config::Settings& settings,
                                                       const tls::TicketKeys& ticket_keys) {
  Files files;
  if (settings.api_port == 0) return files;
  auto rules = admin::Api::load_rules(settings);
  if (!rules) return std::unexpected(std::move(rules.error()));
  files.rules = std::move(*rules);
  if (settings.api_tls_cert_file.empty()) return files;
  tls::ServerOptions options;
  options.mode =
      settings.api_require_client_certificate ? model::TlsMode::kVerifyCa : model::TlsMode::kRequire;
  options.cert_file = settings.api_tls_cert_file;
  options.key_file = settings.api_tls_key_file;
  options.ca_file = settings.api_tls_ca_file;
  options.inside = tls::Inside::kHttp;
  auto context = tls::ServerContext::build(options, ticket_keys);
  if (!context) return std::unexpected(std::move(context.error()));
  files.tls = std::move(*context);
  return files;
}

base::Status ApiService::start(const config::Settings& settings, Files files) {
  if (settings.api_port == 0) return {};
  api_ = std::make_unique<admin::Api>(*this, files.rules);
  server_ = std::make_unique<http::Server>(
      process_.loop,
      [this](http::Request request, http::Respond respond) {
        api_->handle(std::move(request), std::move(respond));
      },
      http::Limits{.body_bytes_max = settings.api_body_bytes_max,
                   .connections_max = static_cast<std::size_t>(settings.api_max_connections)});
  use(std::move(files));
  const auto port = server_->listen(settings.api_address, settings.api_port);
  if (!port) return std::unexpected(port.error());
  log::info(
      "api.listening",
      {{"address", settings.api_address}, {"port", *port}, {"tls", !settings.api_tls_cert_file.empty()}});
  return {};
}

void ApiService::use(Files files) {
  if (server_ == nullptr) return;
  if (files.rules->knows_nobody()) {
    log::warning("api.no_keys", {}, "no key for tokens is configured: only what needs no token can be used");
  }
  api_->set_rules(std::move(files.rules));
  server_->set_tls(std::move(files.tls));
}

void ApiService::stop() {
  if (server_ == nullptr) return;
  server_->finish();
  const auto deadline = std::chrono::steady_clock::now() + kFarewellMax;
  while (server_->is_answering() && std::chrono::steady_clock::now() < deadline)
    process_.loop.run_for(kFarewellStep);
  server_->stop();
}

std::vector<std::string> ApiService::unready() const {
  std::vector<std::string> reasons;
  if (is_draining_) reasons.emplace_back("draining: the process is about to end");
  const auto& workers = process_.shared.workers;
  if (std::ranges::none_of(workers, [](const auto& worker) { return worker->has_room(); })) {
    reasons.emplace_back("sockets: there is no room for further clients");
  }
  return reasons;
}

std::uint64_t ApiService::open_files() {
  const auto now = std::chrono::steady_clock::now();
  if (!open_files_ || now - open_files_->counted_at > kOpenFilesKept) {
    open_files_ = {.count = count_open_files(), .counted_at = now};
  }
  return open_files_->count;
}

admin::ProcessView ApiService::process() {
  admin::ProcessView view{.workers = {}, .clients_max = process_.clients_max(), .started = started_};
  for (const auto& worker : process_.shared.workers) {
    view.workers.push_back({.cpu_seconds = worker->cpu_seconds(),
                            .clients = worker->clients(),
                            .counters = &worker->counters()});
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  view.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  view.resident_bytes = resident_bytes();
  view.open_files = open_files();
  if (server_ != nullptr) {
    const http::ServerCounts counts = server_->counts();
    view.api_requests = counts.requests;
    view.api_connections = counts.connections;
    view.api_refused = counts.refused;
  }
  return view;
}

void ApiService::settle(std::move_only_function<void(bool)> done) {
  // Whichever comes first: all have answered, or the time is over. Both happen on this thread.
  auto waiting = std::make_shared<std::move_only_function<void(bool)>>(std::move(done));
  const auto finish = [waiting](bool all_did) {
    if (auto call = std::exchange(*waiting, nullptr)) call(all_did);
  };
  // A worker reads its mailbox in order: when this comes back, what was posted before has been done.
  ask_workers<bool>(
      process_.loop, process_.shared.workers, [](unsigned, auto&, auto&) { return true; },
      [finish](bool) { finish(true); });
  process_.loop.after(kSettleMax, [finish] { finish(false); });
}

void ApiService::look(admin::LookWish wish, std::move_only_function<void(admin::Findings)> done) {
  const auto shared_wish = std::make_shared<const admin::LookWish>(std::move(wish));
  auto& workers = process_.shared.workers;
  // Who looks at one tenant is not shown what is counted of all.
  AmongAll are_among_all = [this, sees_all = shared_wish->tenant.empty()](const std::string& tenant) {
    const Shared& shared = process_.shared;
    return sees_all &&
           are_counted_among_all(*shared.pool_counters, static_cast<unsigned>(shared.workers.size()), tenant);
  };
  auto gathering =
      std::make_shared<Gathering<admin::Findings>>(process_.loop, workers.size(),
                                                   [shared_wish, are_among_all = std::move(are_among_all),
                                                    done = std::move(done)](admin::Findings found) mutable {
                                                     merge_shards(found.pools);
                                                     if (shared_wish->as_counted)
                                                       merge_uncounted(found.pools, are_among_all);
                                                     done(std::move(found));
                                                   });
  for (unsigned i = 0; i < workers.size(); ++i) {
    look_on(*workers[i], std::make_shared<Look>(shared_wish, i), gathering);
  }
}

}  // namespace penstock::server
