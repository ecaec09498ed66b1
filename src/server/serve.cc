#include "server/serve.h"

#include <fmt/format.h>
#include <malloc.h>        // HOUSE(syscall): the process as a whole: its memory
#include <signal.h>        // HOUSE(syscall): the process as a whole: signals, limits, pid file
#include <sys/resource.h>  // HOUSE(syscall): the process as a whole: signals, limits, pid file
#include <sys/signalfd.h>  // HOUSE(syscall): the process as a whole: signals, limits, pid file
#include <unistd.h>        // HOUSE(syscall): the process as a whole: signals, limits, pid file

#include <algorithm>
#include <cstdio>
#include <thread>

#include "auth/crypto.h"
#include "base/version.h"
#include "catalog/catalog.h"
#include "catalog/open_store.h"
#include "config/render.h"
#include "server/api_service.h"
#include "server/capacity.h"
#include "server/pid_file.h"
#include "server/trim.h"
#include "server/worker.h"
#include "telemetry/log.h"
#include "telemetry/service_notifier.h"

namespace penstock::server {

namespace log = telemetry::log;

namespace {

constexpr int kPollEveryMs = 1000;  // the catalog, the log's upkeep

log::Options log_options(const config::Settings& settings) {
  static constexpr std::array kLevels = {telemetry::log::Level::kError, telemetry::log::Level::kWarning,
                                         telemetry::log::Level::kInfo, telemetry::log::Level::kDebug};
  log::Options options;
  options.level = kLevels[static_cast<std::size_t>(settings.log_level)];
  options.format = settings.log_format == config::LogFormat::kJson ? telemetry::log::Format::kJson
                                                                   : telemetry::log::Format::kText;
  options.file = settings.log_file;
  options.events_per_second = settings.log_events_per_second;
  return options;
}

base::Result<std::shared_ptr<const tls::ServerContext>> client_tls(const config::Settings& settings,
                                                                   const tls::TicketKeys& ticket_keys) {
  if (settings.client_tls_mode == model::TlsMode::kDisable || settings.client_tls_cert_file.empty())
    return nullptr;
  tls::ServerOptions options;
  options.mode = settings.client_tls_mode;
  options.cert_file = settings.client_tls_cert_file;
  options.key_file = settings.client_tls_key_file;
  options.ca_file = settings.client_tls_ca_file;
  options.min_protocol = settings.client_tls_min_protocol;
  options.ciphers = settings.client_tls_ciphers;
  options.compact = settings.client_tls_compact;
  return tls::ServerContext::build(options, ticket_keys);
}

void complain(const base::Error& error) {
  std::fprintf(stderr, "penstock: %s\n", config::explain(error).c_str());
}

class Server {
 public:
  explicit Server(const config::LoadOptions& options)
      : options_(options),
        ticket_keys_(shared_.random),
        notifier_(telemetry::ServiceNotifier::from_environment()) {}

  base::Status run() {
    block_signals();
    if (auto started = start(); !started) {
      log::stop();
      return started;
    }
    (void)notifier_.ready(status_line());
    wait_for_the_end();
    api_->stop();
    for (auto& worker : shared_.workers) worker->stop();
    for (auto& worker : shared_.workers) worker->join();
    log::info("server.stopped", {});
    log::stop();
    return {};
  }

 private:
  base::Status start() {
    auto loaded = config::load(options_);
    if (!loaded) {
      for (const base::Error& error : loaded.error()) complain(error);
      return base::fail(base::kConfigFileError, "the configuration is not valid");
    }
    take(std::move(*loaded));
    if (auto started = log::start(log_options(*settings_)); !started) return started;
    for (const std::string& warning : loaded_.warnings) log::warning("config.warning", {}, warning);
    raise_file_limit();
    if (!settings_->pid_file.empty()) {
      auto taken = PidFile::take(settings_->pid_file);
      if (!taken) return std::unexpected(std::move(taken.error()));
      pid_file_ = std::move(*taken);
    }

    auto tls = client_tls(*settings_, ticket_keys_);
    if (!tls) return std::unexpected(std::move(tls.error()));
    client_tls_ = std::move(*tls);
    auto api_files = ApiService::load_files(*settings_, ticket_keys_);
    if (!api_files) return std::unexpected(std::move(api_files.error()));

    auto store = catalog::open_store(*settings_, options_.environment, catalog::Opening::kServer);
    if (!store) return std::unexpected(std::move(store.error()));
    if (const auto report = (*store)->seals(); report) {
      const std::string complaint =
          catalog::complaint_about(*report, catalog::key_source(*settings_, options_.environment));
      if (!complaint.empty()) log::warning("catalog.secrets", {}, complaint);
    }
    auto catalog = catalog::Catalog::open(std::move(*store));
    if (!catalog) return std::unexpected(std::move(catalog.error()));
    catalog_ = std::move(*catalog);

    shared_.pool_counters = std::make_unique<telemetry::PoolCounterTable>(
        static_cast<std::size_t>(settings_->api_metrics_pools_max));
    shared_.random.fill({shared_.login_secret.data(), auth::Key::kSize});
    if (const std::string& lasting = catalog_->snapshot()->login_secret(); !lasting.empty()) {
      shared_.login_secret = auth::sha256(base::as_bytes(lasting));
    }
    shared_.read_catalog = [this](std::move_only_function<void()> done) {
      loop_.post([this, done = std::move(done)]() mutable {
        catalog_->poll();
        done();
      });
    };
    if (auto made = make_workers(); !made) return made;
    api_ = std::make_unique<ApiService>(api_process());
    // Before there are threads: a start that fails ends without any.
    if (auto started = api_->start(*settings_, std::move(*api_files)); !started) return started;
    for (auto& worker : shared_.workers) worker->start();
    catalog_->on_wake([this] { loop_.post([this] { catalog_->poll(); }); });
    catalog_->subscribe([this](const model::SnapshotPtr& snapshot) {
      instruct_workers();
      api_->follow(*snapshot);
    });
    log::info("server.started",
              {{"version", base::kVersion}, {"pid", getpid()}, {"tenants", catalog_->snapshot()->size()}});
    return {};
  }

  ApiService::Process api_process() {
    return {.loop = loop_,
            .shared = shared_,
            .catalog = *catalog_,
            .loaded = [this]() -> const config::Loaded& { return loaded_; },
            .clients_max = [this] { return static_cast<std::size_t>(settings_->max_clients); },
            .reload = [this] { return reload(); },
            .drain = [] { kill(getpid(), SIGTERM); }};
  }

  void take(config::Loaded loaded) {
    loaded_ = std::move(loaded);
    settings_ = std::make_shared<const config::Settings>(loaded_.settings);
  }

  base::Status make_workers() {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    static_assert(config::kWorkersMax == pool::kWorkersMax);
    const unsigned count = std::min<unsigned>(
        pool::kWorkersMax, settings_->workers > 0 ? static_cast<unsigned>(settings_->workers) : cores);
    static constexpr std::array kBackends = {io::Backend::kAuto, io::Backend::kIoUring, io::Backend::kEpoll};
    shared_.directory = std::make_unique<pool::PoolDirectory>(count);
    for (unsigned i = 0; i < count; ++i) {
      auto choice = io::make_loop(kBackends[static_cast<std::size_t>(settings_->io_backend)], shared_.random);
      if (!choice) return std::unexpected(std::move(choice.error()));
      if (i == 0) log::info("server.loop", {{"backend", choice->loop->backend()}}, choice->note);
      auto worker = std::make_unique<Worker>(shared_, i, count, std::move(choice->loop), instructions());
      if (auto listening = worker->listen(settings_->listeners); !listening) return listening;
      shared_.workers.push_back(std::move(worker));
    }
    for (const auto& listener : settings_->listeners) {
      log::info("server.listening",
                {{"address", listener.address}, {"port", listener.port}, {"workers", count}});
    }
    say_capacity();
    return {};
  }

  void say_capacity() const {
    CapacityQuestion question{.memory_available = memory_available(),
                              .open_files = file_limit(),
                              .per_worker = shared_.workers.front()->backend() == "io_uring",
                              .max_clients = settings_->max_clients};
    if (client_tls_ != nullptr)
      question.client_bytes = client_tls_->compact() ? kCompactTlsClientBytes : kTlsClientBytes;
    for (const auto& worker : shared_.workers) question.sockets_max += worker->sockets_max();
    const Capacity found = capacity(question);
    const bool too_few = found.limited_by != "max_clients" && settings_->max_clients > 0;
    (too_few ? log::warning : log::info)("server.capacity",
                                         {{"clients", found.clients},
                                          {"limited_by", found.limited_by},
                                          {"max_clients", settings_->max_clients},
                                          {"open_files", question.open_files},
                                          {"memory_mib", question.memory_available >> 20U}},
                                         found.hint);
  }

  session::Instructions instructions() const {
    return {.settings = settings_, .catalog = catalog_->snapshot(), .client_tls = client_tls_};
  }
  void instruct_workers() {
    for (auto& worker : shared_.workers) worker->instruct(instructions());
  }

  std::string status_line() const {
    return fmt::format("{} tenants, {} workers", catalog_->snapshot()->size(), shared_.workers.size());
  }

  static std::uint64_t file_limit() {
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
  }
  static void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
      limit.rlim_cur = limit.rlim_max;
      setrlimit(RLIMIT_NOFILE, &limit);
    }
  }

  void block_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGHUP, SIGTERM, SIGINT, SIGQUIT}) sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  // The next signal, or 0 after `timeout_ms`. Meanwhile the HTTP port is served.
  int next_signal(int timeout_ms) {
    if (!loop_.run_until_readable(signals_, std::chrono::milliseconds(timeout_ms))) return 0;
    signalfd_siginfo info{};
    return read(signals_, &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
  }

  void wait_for_the_end() {
    for (;;) {
      const int number = next_signal(kPollEveryMs);
      log::tick();
      if (trim_.should_trim(std::chrono::steady_clock::now(), clients())) malloc_trim(0);
      if (number == SIGHUP) {
        (void)reload();
      } else if (number == SIGTERM) {
        return drain();
      } else if (number != 0) {
        (void)notifier_.stopping("stopping");
        return;
      } else {
        catalog_->poll();
      }
    }
  }

  int clients() {
    return shared_.ledger.scope(std::string(session::kAllClients))->open.load(std::memory_order_relaxed);
  }

  // All or nothing: with a mistake anywhere, everything stays as it was.
  base::Status reload() {
    (void)notifier_.reloading();
    (void)log::reopen();
    base::Status done = try_reload();
    if (!done) log::error("config.kept", {}, "reload failed: the configuration was not changed");
    if (done && catalog_->trouble()) {
      base::Error trouble = *catalog_->trouble();
      trouble.message =
          "the configuration is in force, but the catalog could not be read: " + trouble.message;
      done = base::fail(std::move(trouble));
    }
    (void)notifier_.ready(status_line());
    return done;
  }

  base::Status try_reload() {
    const auto complain_in_log = [](base::Error error) {
      log::error("config.invalid", {}, config::explain(error));
      return base::fail(std::move(error));
    };
    auto loaded = config::load(options_);
    if (!loaded) {
      base::Status first;
      for (const base::Error& error : loaded.error()) {
        const base::Status told = complain_in_log(error);
        if (first) first = base::fail(base::kConfigFileError, config::explain(error));
      }
      return first;
    }
    auto tls = client_tls(loaded->settings, ticket_keys_);
    if (!tls) return complain_in_log(tls.error());
    loaded->settings.api_port = settings_->api_port;  // takes effect with the next start
    auto api_files = ApiService::load_files(loaded->settings, ticket_keys_);
    if (!api_files) return complain_in_log(api_files.error());
    for (const auto& change : config::diff(*settings_, loaded->settings)) {
      log::info("config.changed",
                {{"setting", change.name}, {"before", change.before}, {"after", change.after}},
                change.needs_restart ? "takes effect with the next start" : "");
    }
    take(std::move(*loaded));
    client_tls_ = std::move(*tls);
    api_->use(std::move(*api_files));
    (void)log::configure(log_options(*settings_));
    if (auto status = catalog_->reload(); !status)
      log::error("catalog.trouble", {}, status.error().to_string());
    instruct_workers();
    log::info("server.reloaded", {});
    return {};
  }

  void drain() {
    (void)notifier_.stopping("waiting for clients to finish their transactions");
    log::info("server.draining", {});
    api_->begin_to_drain();
    auto left = std::make_shared<std::atomic<std::size_t>>(shared_.workers.size());
    for (auto& worker : shared_.workers) {
      worker->drain([left] { left->fetch_sub(1); });
    }
    const auto deadline = std::chrono::steady_clock::now() + settings_->drain_timeout;
    while (left->load() > 0 && std::chrono::steady_clock::now() < deadline) {
      if (const int number = next_signal(20); number == SIGTERM || number == SIGINT || number == SIGQUIT)
        return;
      log::tick();
    }
  }

  const config::LoadOptions options_;
  PidFile pid_file_;
  http::Loop loop_;  // outlives all that may post to it
  Shared shared_;
  tls::TicketKeys ticket_keys_;
  telemetry::ServiceNotifier notifier_;
  std::shared_ptr<const config::Settings> settings_;
  std::shared_ptr<const tls::ServerContext> client_tls_;
  config::Loaded loaded_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<ApiService> api_;
  TrimPolicy trim_;
  int signals_ = -1;
};

}  // namespace

base::Status check_client_tls(const config::Settings& settings) {
  base::SystemRandom random;
  const auto built = client_tls(settings, tls::TicketKeys(random));
  if (!built) return std::unexpected(built.error());
  const auto api = ApiService::load_files(settings, tls::TicketKeys(random));
  if (!api) return std::unexpected(api.error());
  return {};
}

int serve(const config::LoadOptions& options) {
  const base::Status done = Server(options).run();
  if (done) return 0;
  // Nothing is left that could write to the log: the reason is the last line.
  complain(done.error());
  return 1;
}

}  // namespace penstock::server
