#include "session/login.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/await.h"
#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "session/absence.h"
#include "session/guc_time.h"
#include "session/pool_plan.h"
#include "session/pool_set.h"
#include "session/settings_trial.h"
#include "telemetry/log.h"
#include "tls/handshake.h"

namespace penstock::session {

namespace log = telemetry::log;

namespace {

// How many requests for encryption a client may make before it must begin.
constexpr int kPreludeMax = 3;
constexpr base::Duration kCancelPatience = std::chrono::seconds(10);

std::string clean_application_name(std::string_view name) {
  std::string clean(name.substr(0, 63));
  for (char& c : clean) {
    if (c < ' ' || c > '~') c = '?';
  }
  return clean;
}

// So long a client waits for the first server before it is greeted with the tenant's default_parameter_status.
constexpr base::Duration kGuessAfter = std::chrono::seconds(1);

upstream::ServerParameters guessed_parameters(const model::TenantSpec& tenant) {
  return {tenant.default_parameter_status.begin(), tenant.default_parameter_status.end()};
}

// Zero is no limit.
std::chrono::milliseconds smaller_limit(std::chrono::milliseconds a, std::chrono::milliseconds b) {
  if (a.count() == 0 || b.count() == 0) return std::max(a, b);
  return std::min(a, b);
}

bool is_application_name(std::string_view name) {
  return name == "application_name";
}

}  // namespace

Login::Login(SessionHome& home, Session& session, io::StreamPtr stream, Entrance entrance)
    : home_(home), session_(session), entrance_(entrance), instructions_(home.instructions) {
  pgwire::MessageAssembler::Limits limits;
  limits.startup_bytes_max = instructions_.settings->startup_bytes_max;
  reader_ = std::make_unique<upstream::MessageReader>(std::move(stream), limits);
  const auto timeout = instructions_.settings->client_login_timeout;
  deadline_ = timeout.count() > 0 ? home_.loop.now() + timeout : base::kNever;
}

void Login::start() {
  task_ = run();
  task_.start([this] { session_.login_done(); });
}

void Login::refuse(const base::Error& error) {
  if (reader_ == nullptr) return;
  base::ByteWriter out;
  pgwire::error_response(out, error, "FATAL");
  send(out);
}

tls::TlsStream* Login::tls_stream() const {
  return dynamic_cast<tls::TlsStream*>(&reader_->stream());
}

std::string Login::reason_for_log(const base::Error& error) const {
  const bool is_about_identity = error.sqlstate == base::kInvalidPassword ||
                                 error.sqlstate == base::kInvalidAuthorization || is_absence(error);
  if (!is_about_identity || private_reason_.empty()) return Session::text_for_log(error);
  return fmt::format("{}: {}", error.message, private_reason_);
}

// Somebody who connects and goes is a port scan, a health check, or will come again: nothing to say. Who stays and says
// nothing is told.
base::Error Login::quiet_unless_late(base::Error error) {
  if (error.message == upstream::kTimeoutExpired) {
    error.sqlstate = base::kQueryCanceled;
    error.message = "canceling authentication due to timeout (client_login_timeout)";
  } else if (error.sqlstate == base::kConnectionFailure) {
    error.message.clear();
  }
  return error;
}

io::Task<> Login::run() {
  co_await home_.login_pace.step();
  const auto startup = co_await read_startup();
  co_await home_.login_pace.step();
  base::Status status;
  if (!startup) {
    status = std::unexpected(startup.error());
  } else {
    outcome_.identity.protocol_minor = std::min(startup->minor, pgwire::kProtocolMinorMax);
    if (startup->needs_negotiation()) {
      base::ByteWriter out;
      pgwire::negotiate_protocol_version(out, outcome_.identity.protocol_minor, startup->pq_options);
      send(out);
    }
    startup_ = &*startup;
    status = co_await look_up();
    if (status) status = co_await authenticate();
    if (status) status = co_await wait_for_turn();
    if (status) status = reserve();
    if (status) status = co_await find_pool(*startup);
    if (status) status = co_await settle_settings(*startup);
  }
  if (!status) {
    const base::Error& error = status.error();
    outcome_.reason = error.message;
    if (error.message.empty()) {
      log::debug("client.left", {{"client", session_.id()}}, "without a log-in");
    } else {
      refuse(error);
      home_.counters
          .failures[is_banned_ ? telemetry::LoginFailure::kBanned
                               : telemetry::failure_of(error.sqlstate.view())]
          .add();
      // A ban is in the log once, when it begins.
      if (instructions_.settings->log_pooler_errors && !is_banned_) {
        log::warning("client.refused",
                     {{"client", session_.id()},
                      {"address", reader_->stream().peer().to_string()},
                      {"tenant", outcome_.identity.tenant == nullptr ? "" : outcome_.identity.tenant->id},
                      {"user", outcome_.identity.user},
                      {"database", outcome_.identity.database},
                      {"sqlstate", error.sqlstate.view()}},
                     reason_for_log(error));
      }
    }
    // Without a reader the connection ended in its TLS handshake.
    std::vector<io::Chunk> unread;
    if (reader_ != nullptr) io::finish(reader_->release(unread));
    co_return;
  }
  greet();
  if (tls::TlsStream* tls = tls_stream()) tls->forget_handshake();
  outcome_.stream = reader_->release(outcome_.received);
}

// --- before the start-up message ---

io::Task<base::Result<pgwire::StartupMessage>> Login::read_startup() {
  bool encrypted = false;
  for (int i = 0; i < kPreludeMax; ++i) {
    if (!encrypted) {
      const auto first = co_await reader_->peek(deadline_);
      if (!first) co_return base::fail(quiet_unless_late(first.error()));
      if (first->type == pgwire::kTlsHandshakeRecord) {
        auto status = co_await become_encrypted(true);
        if (!status) co_return base::fail(std::move(status.error()));
        encrypted = true;
        continue;
      }
    }
    const auto packet = co_await reader_->startup_packet(deadline_);
    if (!packet) {
      co_return base::fail(quiet_unless_late(packet.error()));
    }
    auto parsed = pgwire::parse_startup(packet->body);
    if (!parsed) {
      // Nobody answers a cancel request, not even a malformed one.
      const bool is_cancel =
          packet->body.size() >= 4 && base::load_be32(packet->body.data()) == pgwire::kCancelRequestCode;
      if (is_cancel) parsed.error().message.clear();
      co_return base::fail(std::move(parsed.error()));
    }
    if (std::holds_alternative<pgwire::SslRequest>(*parsed)) {
      if (reader_->has_more()) {
        co_return base::fail(base::kProtocolViolation, "received unencrypted data after SSL request",
                             "This could be either a client-software bug or evidence of an attempted "
                             "man-in-the-middle attack.");
      }
      base::ByteWriter answer;
      const bool yes =
          instructions_.client_tls != nullptr && !encrypted && !reader_->stream().peer().is_unix();
      answer.u8(yes ? pgwire::kAnswerYesSsl : pgwire::kAnswerNo);
      send(answer);
      if (yes) {
        auto status = co_await become_encrypted(false);
        if (!status) co_return base::fail(std::move(status.error()));
        encrypted = true;
      }
      continue;
    }
    if (std::holds_alternative<pgwire::GssEncRequest>(*parsed)) {
      if (reader_->has_more()) {
        co_return base::fail(base::kProtocolViolation,
                             "received unencrypted data after GSSAPI encryption request");
      }
      base::ByteWriter answer;
      answer.u8(pgwire::kAnswerNo);
      send(answer);
      continue;
    }
    if (auto* request = std::get_if<pgwire::CancelRequest>(&*parsed)) {
      co_await serve_cancel(std::move(*request));
      co_return base::fail(base::Error{.message = ""});
    }
    co_return std::move(std::get<pgwire::StartupMessage>(*parsed));
  }
  co_return base::fail(base::kProtocolViolation,
                       "too many requests for encryption before the start-up packet");
}

io::Task<base::Status> Login::become_encrypted(bool direct) {
  if (instructions_.client_tls == nullptr) {
    co_return base::fail(base::kProtocolViolation, "TLS is not switched on here");
  }
  // The gate is for work, and there is none before the client has said something.
  if (const auto first = co_await reader_->peek(deadline_); !first) {
    co_return base::fail(quiet_unless_late(first.error()));
  }
  if (auto admitted = co_await home_.handshake_gate.pass(deadline_); !admitted) {
    co_return base::fail(std::move(admitted.error()));
  }
  tls::AcceptOptions options{.deadline = deadline_, .direct = direct};
  const std::string address = reader_->stream().peer().to_string();
  io::StreamPtr raw = reader_->release(options.received);
  auto secured = co_await tls::accept(std::move(raw), instructions_.client_tls, std::move(options));
  home_.counters.counts[secured ? telemetry::WorkerCount::kTlsOk : telemetry::WorkerCount::kTlsFailed].add();
  if (!secured) {
    log::info("client.tls_failed", {{"client", session_.id()}, {"address", address}},
              secured.error().message);
    reader_.reset();
    co_return base::fail(base::Error{.message = ""});
  }
  server_name_ = (*secured)->engine().server_name();
  outcome_.identity.tls = (*secured)->engine().negotiated();
  pgwire::MessageAssembler::Limits limits;
  limits.startup_bytes_max = instructions_.settings->startup_bytes_max;
  reader_ = std::make_unique<upstream::MessageReader>(std::move(*secured), limits);
  co_return base::Status{};
}

io::Task<> Login::serve_cancel(pgwire::CancelRequest request) {
  home_.counters.counts[telemetry::WorkerCount::kCancels].add();
  const auto owner = home_.cancels.find(request.process_id, request.key);
  if (!owner.has_value()) co_return;
  // The connection closes when the request has been seen to, as Postgres does it.
  struct State {
    bool done = false;
  };
  auto state = std::make_shared<State>();
  home_.with_session(*owner, [state, loop = &home_.loop](Session* session) {
    auto done = [state, loop] { loop->post([state] { state->done = true; }); };
    if (session == nullptr) return done();
    session->cancel(done);
  });
  const base::TimePoint until = home_.loop.now() + kCancelPatience;
  while (!state->done && home_.loop.now() < until) {
    co_await io::SleepAwait(home_.loop, std::chrono::milliseconds(1));
  }
}

// --- settings, greeting ---

base::Result<pgwire::Parameters> Login::requested_settings(const pgwire::StartupMessage& startup) {
  pgwire::Parameters requested;
  wished_idle_ = {};
  const bool shares_servers = outcome_.identity.replication == pgwire::Replication::kNo;
  const auto& ignored = instructions_.settings->ignore_startup_parameters;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (std::ranges::find(ignored, name) != ignored.end()) return;
    // At the server it would go on while the connection is another client's, and end it.
    if (shares_servers && upstream::same_name(name, "idle_session_timeout")) {
      if (const auto time = guc_milliseconds(value)) {
        wished_idle_ = *time;
        return;
      }
    }
    requested.emplace_back(name, value);
  };
  // As Postgres does it, wherever `options` stands in the packet: what comes last holds.
  for (const auto& [name, value] : startup.parameters) {
    if (name != "options") continue;
    auto options = pgwire::parse_options(value);
    if (!options) return std::unexpected(std::move(options.error()));
    for (const auto& [option, setting] : options->settings) add(option, setting);
  }
  for (const auto& [name, value] : startup.parameters) {
    const bool is_setting =
        name != "user" && name != "database" && name != "replication" && name != "options";
    if (is_setting) add(name, value);
  }
  return requested;
}

io::Task<base::Status> Login::settle_settings(const pgwire::StartupMessage& startup) {
  auto requested = requested_settings(startup);
  if (!requested) co_return base::fail(std::move(requested.error()));
  Identity& identity = outcome_.identity;
  identity.client_idle = smaller_limit(identity.client_idle, wished_idle_);
  if (identity.replication != pgwire::Replication::kNo) requested->clear();
  // Any name is allowed for an application: no server need be asked.
  std::erase_if(*requested, [&](const auto& entry) {
    if (!is_application_name(entry.first)) return false;
    identity.application_name = clean_application_name(entry.second);
    return true;
  });
  pool::Pool& pool = *outcome_.pool;
  upstream::SettingsTable& table = home_.settings_table;
  const bool cold = pool.parameters() == nullptr;
  if (cold || !requested->empty()) {
    base::TimePoint until =
        identity.query_wait.count() > 0 ? home_.loop.now() + identity.query_wait : base::kNever;
    const bool may_guess = cold && !identity.tenant->default_parameter_status.empty() &&
                           identity.replication == pgwire::Replication::kNo;
    if (may_guess) until = std::min(until, home_.loop.now() + kGuessAfter);
    // Waiting for a busy pool is no fault of the client's, and not of its log-in's time.
    const SettingsTrial::Options patience{
        .deadline = until,
        .answer_within = may_guess ? base::Duration{0} : instructions_.settings->client_login_timeout,
        .client = reader_.get()};
    upstream::SettingsPtr asked = pool.settings_at_login();
    if (!cold) {
      for (const auto& [name, value] : *requested) asked = table.with(asked, name, value);
    }
    if (cold || pool.known_outcome(asked) == nullptr) {
      auto tried = co_await SettingsTrial(pool, *requested, patience);
      // The server connection it was tried on may have ended just then; others may live.
      const bool lost = !tried && (tried.error().sqlstate == base::kConnectionFailure ||
                                   tried.error().sqlstate == base::kAdminShutdown);
      if (lost && !cold) tried = co_await SettingsTrial(pool, *requested, patience);
      if (!tried && may_guess && is_absence(tried.error())) {
        outcome_.provisional = true;
        tried = table.intern(*requested);
      }
      if (!tried) co_return base::fail(std::move(tried.error()));
      outcome_.settings = std::move(*tried);
      if (!cold) pool.remember_outcome(asked, outcome_.settings);
    } else {
      outcome_.settings = pool.known_outcome(asked);
    }
  } else {
    outcome_.settings = pool.settings_at_login();
  }
  if (instructions_.settings->application_name_add_host && identity.replication == pgwire::Replication::kNo) {
    if (identity.application_name.empty()) identity.application_name = "app";
    identity.application_name =
        clean_application_name(identity.application_name + " - " + reader_->stream().peer().to_string());
  }
  if (!identity.application_name.empty()) {
    outcome_.settings = table.with(outcome_.settings, "application_name", identity.application_name);
  }
  co_return base::Status{};
}

void Login::greet() {
  const Identity& identity = outcome_.identity;
  base::ByteWriter out;
  upstream::ServerParameters guessed;
  if (outcome_.provisional) guessed = guessed_parameters(*identity.tenant);
  const auto& parameters = outcome_.provisional ? guessed : *outcome_.pool->parameters();
  for (const auto& [name, value] : parameters) {
    const std::string* own = upstream::is_read_only(name) ? nullptr : outcome_.settings->find(name);
    pgwire::parameter_status(out, name, own != nullptr ? *own : value);
  }
  const std::size_t key_bytes = identity.protocol_minor >= 2 ? 32 : 4;
  const CancelKey key =
      home_.cancels.add({.worker = home_.worker, .session = session_.id()}, key_bytes, home_.loop.random());
  outcome_.cancel_id = key.process_id;
  pgwire::backend_key_data(out, key.process_id, key.key);
  pgwire::ready_for_query(out, pgwire::kStatusIdle);
  send(out);
  outcome_.pool->count_login();
  if (instructions_.settings->log_connections) {
    log::info("client.login",
              {{"client", session_.id()},
               {"address", reader_->stream().peer().to_string()},
               {"tenant", identity.tenant->id},
               {"user", identity.user},
               {"database", identity.database},
               {"tls", identity.tls.empty() ? std::string_view("no") : std::string_view(identity.tls)}});
  }
  if (by_previous_secret_) {
    log::info("client.previous_secret",
              {{"client", session_.id()},
               {"address", reader_->stream().peer().to_string()},
               {"tenant", identity.tenant->id},
               {"user", identity.user}},
              "this client still uses the secret that is being replaced");
  }
}

}  // namespace penstock::session
