#include "session/settings_trial.h"

#include "pgwire/backend.h"
#include "pgwire/constants.h"

namespace penstock::session {

SettingsTrial::SettingsTrial(pool::Pool& pool, const pgwire::Parameters& requested, base::TimePoint deadline)
    : pool_(pool), requested_(requested), deadline_(deadline) {}

SettingsTrial::~SettingsTrial() {
  if (upstream_ != nullptr) pool_.bury(*upstream_);
}

bool SettingsTrial::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  io::Loop& loop = pool_.home().tools.loop;
  loop.timers().arm(timer_, deadline_);
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
  if (!upstream.replies.empty()) return;
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
  if (upstream_ != nullptr) pool_.bury(*std::exchange(upstream_, nullptr));
  if (pool_.last_error() != nullptr) return settle(base::fail(*pool_.last_error()));
  settle(
      base::fail(base::kTooManyConnections, "query_wait_timeout: no server connection became free in time"));
}

void SettingsTrial::settle(base::Result<upstream::SettingsPtr> result) {
  timer_.cancel();
  result_.emplace(std::move(result));
  if (suspended_) caller_.resume();
}

}  // namespace penstock::session
