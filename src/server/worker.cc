#include "server/worker.h"

#include "catalog/admission.h"
#include "catalog/timestamp.h"
#include "pgwire/backend.h"
#include "session/pool_plan.h"
#include "session/tenant_trial.h"
#include "telemetry/log.h"

namespace penstock::server {

namespace {

constexpr base::Duration kUpkeepEvery = std::chrono::seconds(10);
constexpr base::Duration kRefusalPatience = std::chrono::milliseconds(200);
// So long the servers have at the end to answer that what ran has been cancelled and rolled back.
constexpr base::Duration kCancelPatience = std::chrono::seconds(2);
constexpr base::Duration kLookForAnswers = std::chrono::milliseconds(5);

// The addresses one listener stands for.
base::Result<std::vector<io::Address>> addresses_of(const config::ListenerSettings& listener) {
  std::vector<io::Address> addresses;
  const auto add = [&](base::Result<io::Address> address) -> base::Status {
    if (!address) return std::unexpected(std::move(address.error()));
    addresses.push_back(*address);
    return {};
  };
  base::Status status;
  if (listener.address == "*") {
    status = add(io::Address::from_ip("0.0.0.0", listener.port));
    if (status) status = add(io::Address::from_ip("::", listener.port));
  } else if (listener.address.starts_with('/') || listener.address.starts_with('@')) {
    status = add(io::Address::from_path(listener.address + "/.s.PGSQL." + std::to_string(listener.port)));
  } else {
    status = add(io::Address::from_ip(listener.address, listener.port));
  }
  if (!status) return std::unexpected(std::move(status.error()));
  return addresses;
}

io::TcpOptions tcp_options(const config::Settings& settings) {
  const auto seconds = [](std::chrono::milliseconds time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time);
  };
  return {.keepalive = settings.tcp_keepalive,
          .keepalive_idle = seconds(settings.tcp_keepalive_idle),
          .keepalive_interval = seconds(settings.tcp_keepalive_interval),
          .keepalive_count = settings.tcp_keepalive_count,
          .user_timeout = settings.tcp_user_timeout};
}

}  // namespace

// One listening socket and what is said of those who come in there.
class Worker::Door final : private io::AcceptSink {
 public:
  Door(Worker& worker, session::Entrance entrance) : worker_(worker), entrance_(entrance) {}
  base::Status open(const io::Address& address, const io::ListenOptions& options) {
    auto listener = worker_.loop_->listen(address, options, *this);
    if (!listener) return std::unexpected(std::move(listener.error()));
    listener_ = std::move(*listener);
    return {};
  }

 private:
  void on_accept(io::StreamPtr stream) override { worker_.accept(std::move(stream), entrance_); }
  void on_lost() override {
    worker_.note_refused("", "no sockets are left: the kernel has closed the connection");
  }
  Worker& worker_;
  session::Entrance entrance_;
  io::ListenerPtr listener_;
};

Worker::Worker(Shared& shared, unsigned index, unsigned workers, std::unique_ptr<io::Loop> loop,
               session::Instructions instructions)
    : shared_(shared),
      index_(index),
      loop_(std::move(loop)),
      sockets_max_(loop_->sockets_max(workers)),
      instructions_(std::move(instructions)),
      handshake_gate_(*loop_, instructions_.settings->tls_handshakes_per_second),
      login_pace_(*loop_),
      login_verifiers_(shared.login_secret, shared.scram_keys),
      catalog_reread_(
          *loop_,
          [this](std::move_only_function<void()> done) {
            if (!shared_.read_catalog) return loop_->post(std::move(done));
            // Behind the instructions that the reading may have brought.
            shared_.read_catalog([this, done = std::move(done)]() mutable { loop_->post(std::move(done)); });
          }),
      pools_({.worker = index,
              .tools = {*loop_, shared.resolver, shared.scram_keys, &unattended_},
              .settings = settings_table_,
              .ledger = shared.ledger,
              .make_room = [this](const pool::ScopePtr& scope) { make_room(scope); },
              .counters = shared.pool_counters.get()},
             *shared.directory),
      home_{.worker = index,
            .loop = *loop_,
            .tools = {*loop_, shared.resolver, shared.scram_keys, &unattended_},
            .instructions = instructions_,
            .settings_table = settings_table_,
            .statement_table = shared.statements,
            .identities = shared.identities,
            .pools = pools_,
            .ledger = shared.ledger,
            .cancels = shared.cancels,
            .handshake_gate = handshake_gate_,
            .login_pace = login_pace_,
            .login_verifiers = login_verifiers_,
            .verifier_turns = shared.verifier_turns,
            .login_bans = shared.login_bans,
            .catalog_reread = catalog_reread_,
            .auth_query = auth_query_,
            .counters = counters_,
            .with_session =
                [this](session::CancelRegistry::Owner owner,
                       std::move_only_function<void(session::Session*)> call) {
                  shared_.workers[owner.worker]->with_session(owner.session, std::move(call));
                },
            .worker_count = [this] { return static_cast<unsigned>(shared_.workers.size()); },
            .has_room = [this](unsigned worker) { return shared_.workers[worker]->has_room(); },
            .send_session =
                [this](unsigned worker, session::TravellerPtr traveller) {
                  shared_.workers[worker]->take_in(std::move(traveller));
                },
            .logged_in = [this](session::Session& session) { end_if_unwelcome(session); },
            .drop_unused_pools =
                [this](const std::string& tenant) {
                  for (const auto& worker : shared_.workers) {
                    worker->on_loop(
                        [tenant](session::PoolSet& pools, Sessions&) { pools.drop_unused(tenant); });
                  }
                },
            .bury = [this](session::Session& session) { bury(session); },
            .slow_log = &shared.slow_log},
      upkeep_timer_(io::Timer::calling<&Worker::upkeep>(this)),
      end_timer_(io::Timer::calling<&Worker::end_when_cancelled>(this)) {
  configure_loop();
}

void Worker::configure_loop() {
  loop_->set_tcp_options(tcp_options(*instructions_.settings));
  loop_->set_busy_poll(std::chrono::microseconds(instructions_.settings->busy_poll_us));
}

Worker::~Worker() = default;

void Worker::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), ("worker " + std::to_string(index_)).c_str());
    loop_->post([this] { upkeep(); });
    loop_->run();
  });
}

base::Status Worker::listen(const std::vector<config::ListenerSettings>& listeners) {
  for (const config::ListenerSettings& listener : listeners) {
    auto addresses = addresses_of(listener);
    if (!addresses) return std::unexpected(std::move(addresses.error()));
    for (const io::Address& address : *addresses) {
      // Unix sockets cannot be shared by several listeners: the first worker has them.
      if (address.is_unix() && index_ != 0) continue;
      auto door = std::make_unique<Door>(*this, session::Entrance{.pool_mode = listener.pool_mode});
      const io::ListenOptions options{.backlog = instructions_.settings->listen_backlog,
                                      .reuse_port = true,
                                      .claim = index_ == 0,  // the others share it with the first
                                      .unix_mode = listener.unix_mode};
      auto opened = door->open(address, options);
      if (!opened) {
        // "*" means what there is: a machine may have no IPv6.
        if (listener.address == "*" && opened.error().sqlstate == base::kFeatureNotSupported &&
            &address == &addresses->back())
          continue;
        return opened;
      }
      doors_.push_back(std::move(door));
    }
  }
  return {};
}

void Worker::accept(io::StreamPtr stream, session::Entrance entrance) {
  load_.store(loop_->live(), std::memory_order_relaxed);
  counters_.counts[telemetry::WorkerCount::kAccepted].add();
  if (!has_room()) return refuse(std::move(stream));
  // Ids are unique in the process and tell the worker.
  const std::uint64_t id = (next_session_++ << 8) | index_;
  auto session = std::make_unique<session::Session>(home_, id);
  session::Session& started = *session;
  sessions_.emplace(id, std::move(session));
  note_load();
  started.start(std::move(stream), entrance);
}

// At once, as Postgres does when it cannot even begin: the few sockets left are needed for the next ones.
void Worker::refuse(io::StreamPtr stream) {
  note_refused(stream->peer().to_string(), "no sockets are left on this worker");
  base::ByteWriter out;
  pgwire::error_response(out,
                         {.sqlstate = base::kTooManyConnections,
                          .message = "sorry, too many clients already",
                          .hint = "Penstock is out of sockets: see \"server.capacity\" in its log."},
                         "FATAL");
  stream->write(out.view());
  io::finish(std::move(stream), kRefusalPatience);
}

void Worker::note_refused(std::string_view address, std::string_view why) {
  counters_.failures[telemetry::LoginFailure::kLimit].add();
  telemetry::log::warning("client.refused",
                          {{"address", address}, {"sqlstate", base::kTooManyConnections.view()}}, why);
}

void Worker::take_in(session::TravellerPtr traveller) {
  loop_->post([this, traveller = std::move(traveller)] {
    auto session = std::make_unique<session::Session>(home_, traveller->id);
    session::Session& arriving = *session;
    sessions_.emplace(traveller->id, std::move(session));
    note_load();
    arriving.arrive(*traveller);
    end_if_unwelcome(arriving);
  });
}

void Worker::note_load() {
  load_.store(loop_->live(), std::memory_order_relaxed);
  clients_.store(sessions_.size(), std::memory_order_relaxed);
}

void Worker::bury(session::Session& session) {
  const auto found = sessions_.find(session.id());
  if (found == sessions_.end()) return;
  auto remains = std::shared_ptr<session::Session>(std::move(found->second));
  sessions_.erase(found);
  note_load();
  loop_->defer([remains] {});
  if (sessions_.empty() && drained_) {
    auto drained = std::move(drained_);
    drained_ = nullptr;
    drained();
  }
}

void Worker::with_session(std::uint64_t id, std::move_only_function<void(session::Session*)> call) {
  loop_->post([this, id, call = std::move(call)]() mutable {
    const auto found = sessions_.find(id);
    call(found == sessions_.end() ? nullptr : found->second.get());
  });
}

void Worker::on_loop(std::move_only_function<void(session::PoolSet&, Sessions&)> call) {
  loop_->post([this, call = std::move(call)]() mutable { call(pools_, sessions_); });
}

void Worker::try_out(model::TenantPtr tenant, std::move_only_function<void(base::Status)> done) {
  loop_->post([this, tenant = std::move(tenant), done = std::move(done)]() mutable {
    const std::uint64_t id = next_trial_++;
    auto& trial =
        trials_.emplace(id, session::try_tenant(pools_.home(), instructions_.settings, std::move(tenant)))
            .first->second;
    trial.start([this, id, done = std::move(done)]() mutable {
      base::Status status = trials_.at(id).take_result();
      loop_->defer([this, id] { trials_.erase(id); });
      done(std::move(status));
    });
  });
}

double Worker::cpu_seconds() const {
  clockid_t clock{};
  timespec time{};
  auto& thread = const_cast<std::thread&>(thread_);
  if (!thread.joinable() || pthread_getcpuclockid(thread.native_handle(), &clock) != 0) return 0;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void Worker::instruct(session::Instructions instructions) {
  loop_->post([this, instructions = std::move(instructions)]() mutable { apply(std::move(instructions)); });
}

// Costs as much as what has changed, however many tenants, pools and clients there are.
void Worker::apply(session::Instructions instructions) {
  const bool settings_changed = !(*instructions.settings == *instructions_.settings);
  const model::SnapshotPtr before = std::exchange(instructions_, std::move(instructions)).catalog;
  if (settings_changed) {
    configure_loop();
    handshake_gate_.set_rate(instructions_.settings->tls_handshakes_per_second);
    session::follow_settings(home_);
  }
  bool may_end = false;
  model::CatalogSnapshot::each_difference(
      *before, *instructions_.catalog,
      [&](const std::string& id, const model::TenantPtr&, const model::TenantPtr& now) {
        if (!settings_changed) session::follow_catalog(home_, id);
        const bool is_over = now == nullptr || now->banned;
        may_end = may_end || (is_over && session::clients_of(shared_.ledger, id) > 0);
      });
  if (may_end) end_the_unwelcome();
}

// Clients of tenants that are no more, or not welcome any more.
void Worker::end_the_unwelcome() {
  std::vector<session::Session*> gone;
  for (auto& [id, session] : sessions_) {
    if (session->logged_in() && !is_welcome(*session)) gone.push_back(session.get());
  }
  for (session::Session* session : gone) end_if_unwelcome(*session);
}

base::Status Worker::is_welcome(const session::Session& session) const {
  const model::TenantPtr tenant = instructions_.catalog->by_id(session.identity().tenant->id);
  if (tenant == nullptr) {
    return base::fail(base::kAdminShutdown, "terminating connection because the tenant was removed");
  }
  auto status = catalog::refuse_banned(*tenant, catalog::wall_clock_now());
  if (status) return status;
  base::Error error = std::move(status.error());
  error.sqlstate = base::kAdminShutdown;
  error.message = "terminating connection because the " + error.message;
  return base::fail(std::move(error));
}

void Worker::end_if_unwelcome(session::Session& session) {
  const base::Status status = is_welcome(session);
  if (!status) session.end_now(status.error());
}

void Worker::make_room(const pool::ScopePtr& scope) {
  for (const auto& worker : shared_.workers) {
    worker->loop_->post([other = worker.get(), scope] { other->pools_.make_room(scope); });
  }
}

void Worker::drain(std::move_only_function<void()> drained) {
  loop_->post([this, drained = std::move(drained)]() mutable {
    doors_.clear();
    home_.draining = true;
    if (sessions_.empty()) return drained();
    drained_ = std::move(drained);
    std::vector<session::Session*> all;
    all.reserve(sessions_.size());
    for (auto& [id, session] : sessions_) all.push_back(session.get());
    for (session::Session* session : all) session->drain();
  });
}

void Worker::stop() {
  loop_->post([this] { end_everything(); });
}

// Clients hear 57P01, and many of them will send again elsewhere what they had under way: it must not be done here, too.
void Worker::end_everything() {
  doors_.clear();
  drained_ = nullptr;
  home_.draining = true;
  // Those who wait are not to get what others give back.
  pools_.for_each([](pool::Pool& pool) { pool.pause(); });
  std::vector<session::Session*> all;
  all.reserve(sessions_.size());
  for (auto& [id, session] : sessions_) all.push_back(session.get());
  for (session::Session* session : all) {
    session->end_now({.sqlstate = base::kAdminShutdown,
                      .message = "terminating connection due to administrator command",
                      .hint = "Penstock is shutting down; connect again."});
  }
  sessions_.clear();
  loop_->defer([this] { trials_.clear(); });
  upkeep_timer_.cancel();
  end_at_ = loop_->now() + kCancelPatience;
  loop_->timers().arm(end_timer_, loop_->now() + kLookForAnswers);
}

void Worker::end_when_cancelled() {
  const base::TimePoint now = loop_->now();
  if ((pools_.is_cleaning() || unattended_ > 0) && now < end_at_)
    return loop_->timers().arm(end_timer_, now + kLookForAnswers);
  if (!has_ended_) {
    has_ended_ = true;
    pools_.clear();
    shared_.ended_workers.fetch_add(1, std::memory_order_relaxed);
    return loop_->timers().arm(end_timer_, now + kLookForAnswers);
  }
  // Connections may be on their way here from others: they must arrive, to be closed.
  const bool all_have = shared_.ended_workers.load(std::memory_order_relaxed) == shared_.workers.size();
  if (!all_have && now < end_at_) return loop_->timers().arm(end_timer_, now + kLookForAnswers);
  loop_->stop();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::upkeep() {
  pools_.sweep();
  loop_->timers().arm(upkeep_timer_, loop_->now() + kUpkeepEvery);
}

}  // namespace penstock::server
