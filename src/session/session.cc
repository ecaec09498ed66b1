#include "session/session.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "session/login.h"
#include "session/placement.h"
#include "session/pool_plan.h"
#include "session/pool_set.h"
#include "telemetry/log.h"

namespace penstock::session {

namespace log = telemetry::log;

namespace {

// A first message up to this size is waited for before an upstream is taken: a slow sender must not hold one.
constexpr std::size_t kFirstMessageWholeMax = 16 * 1024;

// What the relay must see whole in the client's stream; all else may pass in parts.
pgwire::FrameScanner::Policy make_policy(std::uint32_t statement_bytes_max, std::uint32_t message_bytes_max) {
  namespace msg = pgwire::msg;
  pgwire::FrameScanner::Policy rules;
  for (const std::uint8_t type : {msg::kSync, msg::kFlush, msg::kTerminate, msg::kCopyDone}) {
    rules.whole_max[type] = 64;
  }
  for (const std::uint8_t type : {msg::kExecute, msg::kDescribe, msg::kClose, msg::kCopyFail, msg::kBind}) {
    rules.whole_max[type] = 4096;
  }
  rules.in_runs[msg::kCopyData] = true;
  rules.whole_max[msg::kQuery] = kFirstMessageWholeMax;
  rules.whole_max[msg::kParse] = statement_bytes_max;
  rules.prefix_bytes[msg::kBind] = 1024;
  rules.prefix_bytes[msg::kParse] = 1024;
  rules.prefix_bytes[msg::kQuery] = 64;
  rules.message_bytes_max = message_bytes_max;
  return rules;
}

// Sessions keep a reference: one for each pair of limits that has ever been configured.
const pgwire::FrameScanner::Policy& client_policy(const config::Settings& settings) {
  static std::mutex mutex;
  static std::map<std::pair<std::uint32_t, std::uint32_t>, pgwire::FrameScanner::Policy> policies;
  const auto limited = [](std::size_t bytes) {
    return static_cast<std::uint32_t>(std::min<std::size_t>(bytes, 1U << 30));
  };
  const auto statement = limited(settings.statement_bytes_max);
  const auto message = limited(settings.message_bytes_max);
  const std::lock_guard lock(mutex);
  const auto [entry, is_new] = policies.try_emplace({statement, message});
  if (is_new) entry->second = make_policy(statement, message);
  return entry->second;
}

// Whether a client may begin with it.
bool is_request(std::uint8_t type) {
  static constexpr std::string_view kRequests = "BCDEFHPQScdf";
  return kRequests.find(static_cast<char>(type)) != std::string_view::npos;
}

}  // namespace

Session::Session(SessionHome& home, std::uint64_t id)
    : home_(home), id_(id), policy_(client_policy(*home.instructions.settings)) {}

Session::~Session() {
  if (cancel_id_ != 0) home_.cancels.remove(cancel_id_);
  if (counted_) pool_->add_client(-1);
}

void Session::start(io::StreamPtr client, Entrance entrance) {
  login_ = std::make_unique<Login>(home_, *this, std::move(client), entrance);
  login_->start();
}

void Session::login_done() {
  Login::Outcome outcome = login_->take_outcome();
  home_.loop.defer([ended = std::shared_ptr<Login>(std::move(login_))] {});
  // The pool may be on the stack (it has just refused us), and nobody else may hold it.
  home_.loop.defer([pool = outcome.pool] {});
  if (!outcome.stream) return end(outcome.reason);
  client_ = std::move(outcome.stream);
  identity_ = home_.identities.intern(std::move(outcome.identity));
  pool_ = std::move(outcome.pool);
  settings_ = std::move(outcome.settings);
  provisional_ = outcome.provisional;
  start_settings_ = settings_;
  cancel_id_ = outcome.cancel_id;
  reservation_ = std::move(outcome.reservation);
  need_exchange();
  if (client_->has_ended()) {
    // It left while its log-in waited; nobody would say so again.
    state_ = State::kIdle;
    return end("client closed the connection");
  }
  for (io::Chunk& chunk : outcome.received) hold(std::move(chunk));
  const unsigned there = choose_worker({.pool = pool_->key(),
                                        .pool_size = pool_->size(),
                                        .workers = home_.worker_count(),
                                        .here = home_.worker,
                                        .session = id_});
  const bool may_move =
      client_->movable() && !provisional_ && identity_->replication == pgwire::Replication::kNo;
  if (there != home_.worker && may_move && !home_.draining && home_.has_room(there)) return move_to(there);
  client_->set_sink(*this);
  begin();
  home_.logged_in(*this);
}

// Logged in, and where it belongs.
void Session::begin() {
  draining_ = draining_ || home_.draining;
  pool_->add_client(+1);
  counted_ = true;
  become_idle();
}

// Waits for the next request, which may be here already.
void Session::become_idle() {
  state_ = State::kIdle;
  idle_since_ = home_.loop.now();
  if (draining_) return drain();
  wait_for_request();
}

void Session::wait_for_request() {
  if (!slowed_ && is_asking()) return want_upstream();
  const bool no_timer = identity_->client_idle.count() == 0 && identity_->heartbeat.count() == 0;
  if (!slowed_ && exchange_->is_over() && no_timer) {
    exchange_.reset();
  } else {
    plan_timer();
  }
}

void Session::need_exchange() {
  if (exchange_ != nullptr) return;
  const auto on_timer = [](void* session) { static_cast<Session*>(session)->on_timer(); };
  exchange_ = std::make_unique<Exchange>(policy_, on_timer, this);
}

// --- to another worker ---

void Session::move_to(unsigned worker) {
  state_ = State::kMoving;
  moving_to_ = static_cast<std::uint8_t>(worker);
  client_->pause_receiving();
  client_->set_sink(*this);
  idle_since_ = home_.loop.now();
  plan_timer();
  if (client_->unsent() == 0) return depart();
  client_->want_drained();
}

void Session::depart() {
  auto traveller = std::make_unique<Traveller>();
  traveller->id = id_;
  traveller->identity = std::move(identity_);
  traveller->pool_key = pool_->key();
  traveller->pool_config = pool_->config_ptr();
  traveller->settings = settings_->values();
  traveller->cancel_id = std::exchange(cancel_id_, 0);
  traveller->reservation = std::move(reservation_);
  for (const io::Chunk& chunk : exchange_->held) {
    traveller->received.insert(traveller->received.end(), chunk.view().begin(), chunk.view().end());
  }
  tls::Passage::take(
      std::move(client_), [home = &home_, there = moving_to_,
                           traveller = std::move(traveller)](base::Result<tls::Passage> passage) mutable {
        if (!passage) {
          home->cancels.remove(traveller->cancel_id);
          log::info("client.logout", {{"client", traveller->id}, {"reason", passage.error().message}});
          return;
        }
        traveller->passage.emplace(std::move(*passage));
        home->send_session(there, std::move(traveller));
      });
  state_ = State::kGone;
  exchange_->timer.cancel();
  home_.bury(*this);
}

void Session::arrive(Traveller& traveller) {
  state_ = State::kMoving;
  identity_ = std::move(traveller.identity);
  need_exchange();
  pool_ = home_.pools.find_or_make(traveller.pool_key, traveller.pool_config);
  catch_up(home_, *pool_);
  renew_credential(*pool_, *traveller.pool_config);
  (void)pool_->parameters();  // learns from the other workers what a fresh session is like
  settings_ = home_.settings_table.intern(std::move(traveller.settings));
  start_settings_ = settings_;
  reservation_ = std::move(traveller.reservation);
  cancel_id_ = traveller.cancel_id;
  home_.cancels.move(cancel_id_, {.worker = home_.worker, .session = id_});
  const std::vector<std::uint8_t> received_in_the_clear = traveller.passage->received();
  auto stream = traveller.passage->arrive(home_.loop);
  if (!stream) return end(stream.error().message);
  client_ = std::move(*stream);
  for (const auto& bytes : {traveller.received, received_in_the_clear}) {
    if (!bytes.empty()) hold(io::Chunk::copy_of(bytes));
  }
  client_->set_sink(*this);
  begin();
}

// --- the client's bytes ---

void Session::on_data(io::Chunk bytes) {
  switch (state_) {
    case State::kActive:
      return forward(bytes);
    case State::kIdle:
      hold(std::move(bytes));
      if (!slowed_ && is_asking()) want_upstream();
      return;
    case State::kWaiting:
    case State::kMoving:
      return hold(std::move(bytes));
    case State::kRefusing:
      hold(std::move(bytes));
      return refuse_held();
    case State::kLogin:
    case State::kGone:
      return;
  }
}

void Session::hold(io::Chunk bytes) {
  need_exchange();
  exchange_->held_bytes += bytes.size();
  // A small message must not keep a whole receive buffer for as long as its client waits.
  if (state_ == State::kWaiting && bytes.size() * 4 < bytes.held()) bytes = io::Chunk::copy_of(bytes.view());
  exchange_->held.push_back(std::move(bytes));
  if (exchange_->held_bytes > io::kUnsentHigh && !client_paused_) {
    client_paused_ = true;
    client_->pause_receiving();
  }
}

bool Session::first_message_is_here() const {
  if (!exchange_->scanner.at_boundary()) return true;
  std::array<std::uint8_t, pgwire::kHeaderBytes> header{};
  std::size_t have = 0;
  for (const io::Chunk& chunk : exchange_->held) {
    for (const std::uint8_t byte : chunk.view().first(std::min(chunk.size(), header.size() - have))) {
      header[have++] = byte;
    }
  }
  if (have > 0 && !is_request(header[0])) return true;  // nothing to wait for
  if (have < header.size()) return false;
  const std::size_t total = std::size_t{base::load_be32(header.data() + 1)} + 1;
  // An impossible length need not be waited for.
  if (total < header.size() || total > home_.instructions.settings->message_bytes_max + 1) return true;
  return exchange_->held_bytes >= std::min(total, kFirstMessageWholeMax);
}

void Session::want_upstream() {
  const std::uint8_t type = exchange_->held.front().data()[0];
  if (exchange_->scanner.at_boundary()) {
    if (type == pgwire::msg::kTerminate) return client_terminated();
    if (!is_request(type)) {
      return tell_and_end({.sqlstate = base::kProtocolViolation,
                           .message = "invalid frontend message type " + std::to_string(type)});
    }
  }
  if (draining_) return part();
  if (pool_->is_metered() && !admit_request()) return;
  state_ = State::kWaiting;
  exchange_->request_since = home_.loop.now();
  exchange_->notified = false;
  pool_->check_out(*this, settings_);
  if (state_ == State::kWaiting) {
    for (io::Chunk& chunk : exchange_->held) {
      if (chunk.size() * 4 < chunk.held()) chunk = io::Chunk::copy_of(chunk.view());
    }
    plan_timer();
  }
}

void Session::on_granted(upstream::Upstream& upstream) {
  state_ = State::kActive;
  upstream_ = &upstream;
  upstream.set_user(*this);
  count(telemetry::PoolCount::kCheckouts);
  const base::Duration waited = home_.loop.now() - exchange_->request_since;
  pool_->counters().checkout.record(waited);
  if (SlowWatch* watch = slow_watch()) watch->waited = waited;
  if (provisional_) correct_greeting(upstream);
  upstream.adopt_settings(settings_);
  // What the client has waited for its server is not the query's time.
  exchange_->request_since = exchange_->transaction_since = home_.loop.now();
  plan_timer();
  resume_client();
  exchange_->held_bytes = 0;
  std::vector<io::Chunk> held;
  held.swap(exchange_->held);
  for (io::Chunk& chunk : held) {
    if (state_ == State::kActive) {
      forward(chunk);
    } else if (state_ != State::kGone) {
      hold(std::move(chunk));  // what came before was answered without the server
    }
  }
  const bool has_more = state_ == State::kIdle && exchange_ != nullptr && !exchange_->held.empty();
  if (has_more && !slowed_ && first_message_is_here()) want_upstream();
}

// The client was told what the tenant says of its servers; now one has spoken for itself.
void Session::correct_greeting(upstream::Upstream& upstream) {
  provisional_ = false;
  upstream::SettingsPtr settings = upstream.settings_at_login;
  for (const auto& [name, value] : settings_->values()) {
    settings = home_.settings_table.with(settings, name, value);
  }
  settings_ = start_settings_ = settings;
  const auto& told = identity_->tenant->default_parameter_status;
  base::ByteWriter out;
  for (const auto& [name, value] : *pool_->parameters()) {
    const std::string* own = upstream::is_read_only(name) ? nullptr : settings->find(name);
    const std::string& now = own != nullptr ? *own : value;
    const auto known = told.find(name);
    if (known == told.end() || known->second != now) pgwire::parameter_status(out, name, now);
  }
  client_->write(out.view());
}

void Session::resume_client() {
  if (!client_paused_ || slowed_) return;
  client_paused_ = false;
  client_->resume_receiving();
}

void Session::resume_client_if_room() {
  if (upstream_ == nullptr || client_ == nullptr) return;
  const bool room = upstream_->replies.size() <= upstream::kReplyQueueHigh &&
                    upstream_->stream().unsent() <= io::kUnsentHigh && client_->unsent() <= io::kUnsentHigh;
  if (room) resume_client();
}

void Session::on_refused(const base::Error& error) {
  tell_and_end(error);
}

// The transaction is over: the upstream goes back to the pool.
void Session::let_go() {
  upstream::Upstream& upstream = *std::exchange(upstream_, nullptr);
  state_ = State::kIdle;
  if (upstream_paused_) {
    upstream_paused_ = false;
    upstream.stream().resume_receiving();
  }
  resume_client();
  // In session mode this happens only when the server stops: what the session has left behind is nobody
  // else's.
  pool_->release(upstream, identity_->mode == model::PoolMode::kSession || pinned_);
  become_idle();
}

void Session::on_drained() {
  if (state_ == State::kMoving && client_->unsent() == 0) return depart();
  if (upstream_paused_ && upstream_ != nullptr && !slowed_) {
    upstream_paused_ = false;
    upstream_->stream().resume_receiving();
  }
  resume_client_if_room();
}

void Session::on_end(const base::Error* error) {
  end(error == nullptr ? "client closed the connection" : std::string_view(error->message));
}

// --- ends ---

std::string Session::text_for_log(const base::Error& error) {
  // A server's details may have what is in its tables.
  if (error.where.empty()) return error.detail.empty() ? error.message : error.message + ": " + error.detail;
  if (error.message.contains(error.where)) return error.message;
  return error.message + ", says the server at " + error.where;
}

void Session::tell_and_end(const base::Error& error) {
  if (state_ == State::kGone) return;
  // In the middle of a message of the server's nothing of ours can be said.
  const bool in_message =
      upstream_ != nullptr && upstream_->scanner.remaining() > 0 && exchange_->server_part_visible;
  if (client_ != nullptr && !in_message) {
    base::ByteWriter out;
    pgwire::error_response(out, error, "FATAL");
    client_->write(out.view());
  }
  if (home_.instructions.settings->log_pooler_errors) {
    log::warning("client.error", {{"client", id_}, {"sqlstate", error.sqlstate.view()}}, text_for_log(error));
  }
  end(error.message);
}

void Session::end(std::string_view reason) {
  if (state_ == State::kGone) return;
  const bool was_logged_in = state_ != State::kLogin;
  state_ = State::kGone;
  if (exchange_ != nullptr) exchange_->timer.cancel();
  stop_waiting();
  go_on_cancelling();
  if (upstream_ != nullptr) {
    upstream::Upstream& upstream = *std::exchange(upstream_, nullptr);
    // A message the client has not finished cannot be finished by anybody else.
    if (is_in_message() || identity_->replication != pgwire::Replication::kNo) {
      pool_->bury(upstream);
    } else {
      const bool was_reset = exchange_ != nullptr && exchange_->reset_done;
      pool_->release(upstream, identity_->mode == model::PoolMode::kSession || pinned_ || was_reset);
    }
  }
  if (was_logged_in && home_.instructions.settings->log_disconnections) {
    log::info("client.logout", {{"client", id_}, {"reason", reason}});
  }
  if (client_ != nullptr) io::finish(std::move(client_));
  home_.bury(*this);
}

// The client has said Terminate and waits for nothing: no farewell is due.
void Session::client_terminated() {
  if (client_->unsent() == 0) client_.reset();
  end("client disconnected");
}

void Session::end_now(const base::Error& why) {
  tell_and_end(why);
}

void Session::drain() {
  draining_ = true;
  const bool in_message = is_in_message();
  const bool in_transaction = state_ == State::kActive && (!upstream_->clean() || in_message);
  const bool busy = in_transaction || state_ == State::kWaiting || state_ == State::kRefusing;
  if (busy || state_ == State::kMoving || state_ == State::kGone || state_ == State::kLogin) return;
  if (state_ != State::kIdle || slowed_ || is_asking() || home_.loop.now() >= may_part_at()) return part();
  need_exchange();
  plan_timer();
}

// A message of the client's has been sent on in part: nobody else can finish it.
bool Session::is_in_message() const {
  return exchange_ != nullptr && exchange_->scanner.remaining() > 0 && !exchange_->dropping;
}

// --- cancel ---

void Session::cancel(std::move_only_function<void()> done) {
  const bool is_slow = state_ == State::kIdle && slowed_ && exchange_->admitted;
  if (state_ == State::kWaiting || is_slow) {
    stop_waiting();
    slowed_ = exchange_->admitted = false;
    state_ = State::kRefusing;
    refuse_held();
    return done();
  }
  if (state_ != State::kActive || upstream_->replies.empty()) return done();
  const upstream::Reply& running = upstream_->replies.front();
  // Our own SET runs ahead of the client's request: the cancel is not meant for it.
  if (running.kind == upstream::Reply::Kind::kQuery && !running.visible) {
    return exchange_->held_cancels.push_back(std::move(done));
  }
  ++upstream_->cancels_under_way;
  auto task = std::make_shared<io::Task<upstream::CancelEnd>>(
      upstream::cancel(home_.tools, pool_->config().plan, upstream::cancel_target(*upstream_)));
  // The task keeps itself until it is done; the pool learns of it even when this session has gone.
  task->start([task, pool = pool_, upstream_id = upstream_->id, loop = &home_.loop,
               done = std::move(done)]() mutable {
    pool->cancel_answered(upstream_id, task->take_result());
    done();
    loop->defer([task = std::move(task)] {});
  });
}

void Session::go_on_cancelling() {
  if (exchange_ == nullptr) return;
  for (auto& done : std::exchange(exchange_->held_cancels, {})) cancel(std::move(done));
}

}  // namespace penstock::session
