#include "session/settings_trial.h"

#include "pgwire/backend.h"
#include "pgwire/constants.h"

namespace penstock::session {

SettingsTrial::SettingsTrial(pool::Pool& pool, const pgwire::Parameters& requested, Options options)
    : pool_(pool), requested_(requested), options_(options) {}

SettingsTrial::~SettingsTrial() {
  if (upstream_ != nullptr) pool_.bury(*upstream_);
}

bool SettingsTrial::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  io::Loop& loop = pool_.home().tools.loop;
  if (options_.client != nullptr && options_.client->has_ended()) {
    settle(base::fail(base::Error{.message = ""}));
    return false;
  }
  if (options_.client != nullptr) options_.client->watch_end([this] { on_client_gone(); });
  loop.timers().arm(timer_, options_.deadline);
  pool_.check_out(*this, pool_.settings_at_login());
  suspended_ = !result_.has_value();
  return suspended_;
}

void SettingsTrial::on_granted(upstream::Upstream& upstream) {
  upstream_ = &upstream;
  upstream.set_user(*this);
  upstream::SettingsTable& table = pool_.home().settings;
  upstream::SettingsPtr wanted = upstream.settings_at_login;
  for (const auto& [name, value] : requested_) wanted = table.with(wanted, name, value);
  // From where a fresh session stands: a value like DateStyle = SQL keeps a part of what was there before.
  upstream.adopt_settings(upstream.settings_at_login);
  upstream.adopt_settings(wanted);
  if (!upstream.replies.empty()) {
    io::Loop& loop = pool_.home().tools.loop;
    if (options_.answer_within.count() > 0) loop.timers().arm(timer_, loop.now() + options_.answer_within);
    return;
  }
  pool_.release(*std::exchange(upstream_, nullptr), false);
  settle(wanted);
}

void SettingsTrial::on_refused(const base::Error& error) {
  settle(base::fail(error));
}

void SettingsTrial::on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) {
  upstream.scanner.feed(bytes.view());
  for (auto event = upstream.scanner.next(); event.kind != pgwire::FrameScanner::Kind::kMore;
       event = upstream.scanner.next()) {
    if (event.kind == pgwire::FrameScanner::Kind::kBroken || !upstream.track(event, pool_.home().settings)) {
      upstream.broken = true;
      error_ =
          base::Error{.sqlstate = base::kProtocolViolation, .message = "the server sent an invalid message"};
      break;
    }
    if (event.type == pgwire::reply::kErrorResponse && event.kind == pgwire::FrameScanner::Kind::kMessage) {
      if (auto error = pgwire::parse_error(event.body())) error_ = std::move(error->error);
      // Not even back to the defaults: what it stands at is not known.
      if (upstream.replies.size() > 1) upstream.broken = true;
    }
  }
  if (!upstream.replies.empty() && !upstream.broken) return;
  // The client's values were one implicit transaction: after an error none of them has had an effect.
  if (error_.has_value()) upstream.settings = upstream.settings_at_login;
  upstream::SettingsPtr settings = upstream.settings;
  pool_.release(*std::exchange(upstream_, nullptr), false);
  if (error_.has_value()) return settle(base::fail(std::move(*error_)));
  settle(std::move(settings));
}

void SettingsTrial::on_upstream_end(upstream::Upstream& upstream, const base::Error*) {
  upstream_ = nullptr;
  pool_.bury(upstream);
  settle(base::fail(error_.value_or(base::Error{.sqlstate = base::kConnectionFailure,
                                                .message = "server closed the connection unexpectedly"})));
}

void SettingsTrial::on_deadline() {
  stop_waiting();
  const bool had_server = upstream_ != nullptr;
  if (had_server) pool_.bury(*std::exchange(upstream_, nullptr));
  if (had_server && options_.answer_within.count() > 0) {
    return settle(base::fail(base::kQueryCanceled,
                             "canceling authentication due to timeout (client_login_timeout)",
                             "The server has not answered when it was told the client's settings."));
  }
  if (pool_.last_error() != nullptr) return settle(base::fail(*pool_.last_error()));
  settle(
      base::fail(base::kTooManyConnections, "query_wait_timeout: no server connection became free in time"));
}

// Its place in the queue is somebody else's. A server that has been asked already answers soon and is kept.
void SettingsTrial::on_client_gone() {
  if (upstream_ != nullptr) return;
  stop_waiting();
  settle(base::fail(base::Error{.message = ""}));
}

void SettingsTrial::settle(base::Result<upstream::SettingsPtr> result) {
  timer_.cancel();
  if (options_.client != nullptr) options_.client->watch_end(nullptr);
  result_.emplace(std::move(result));
  if (suspended_) caller_.resume();
}

}  // namespace penstock::session
