// The times that end a session or tell its client something: one timer, armed for whichever comes first.
#include <algorithm>

#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "session/session.h"

namespace penstock::session {

namespace {

// A client that has not read its greeting by then stays where it is.
constexpr std::chrono::milliseconds kMovePatience{1000};
constexpr std::string_view kHeartbeatName = "application_name";
// A farewell that is read together with an answer is no error to libpq, but a notice, and the next query finds the
// connection closed without a reason. So it comes a moment later, or in answer to the next query.
constexpr std::chrono::milliseconds kPartingPause{50};
// A session that is held back looks so often whether it still must be.
constexpr std::chrono::milliseconds kSlowStep{1000};

}  // namespace

std::string_view Session::state_word() const {
  switch (state_) {
    case State::kLogin:
      return "login";
    case State::kMoving:
    case State::kIdle:
      return "idle";
    case State::kWaiting:
      return "waiting";
    case State::kActive:
    case State::kRefusing:
      return "active";
    case State::kGone:
      return "gone";
  }
  return "gone";
}

std::string Session::address() const {
  return client_ == nullptr ? std::string() : client_->peer().to_string();
}

bool Session::is_querying() const {
  return state_ == State::kActive && !upstream_->replies.empty();
}

bool Session::is_in_transaction() const {
  if (state_ != State::kActive) return false;
  // A batch without its Sync keeps the server as a transaction does, and so does half a message.
  return !upstream_->replies.empty() || upstream_->status != pgwire::kStatusIdle || upstream_->in_batch ||
         is_in_message();
}

base::TimePoint Session::next_deadline() const {
  base::TimePoint next = base::kNever;
  const auto consider = [&](base::TimePoint since, std::chrono::milliseconds limit) {
    if (limit.count() > 0) next = std::min(next, since + limit);
  };
  if (is_in_transaction()) consider(exchange_->transaction_since, identity_->transaction);
  if (is_querying()) consider(exchange_->request_since, identity_->query);
  // Held back, a client cannot be blamed for its silence; but what a query or transaction takes counts on.
  if (slowed_) return std::min({next, exchange_->slowed_until, home_.loop.now() + kSlowStep});
  switch (state_) {
    case State::kMoving:
      consider(idle_since_, kMovePatience);
      break;
    case State::kIdle:
      if (draining_) return may_part_at();
      consider(idle_since_, identity_->client_idle);
      consider(quiet_since(), identity_->heartbeat);
      break;
    case State::kRefusing:
      consider(exchange_->request_since, identity_->client_idle);
      break;
    case State::kWaiting:
      consider(exchange_->request_since, identity_->query_wait);
      if (!exchange_->notified)
        consider(exchange_->request_since, home_.instructions.settings->query_wait_notify);
      break;
    case State::kActive:
      if (is_querying()) break;
      consider(quiet_since(), identity_->heartbeat);
      // Otherwise: session mode, between transactions.
      consider(exchange_->idle_transaction_since,
               is_in_transaction() ? identity_->idle_transaction : identity_->client_idle);
      break;
    default:
      break;
  }
  return next;
}

base::TimePoint Session::may_part_at() const {
  return idle_since_ + kPartingPause;
}

void Session::part() {
  tell_and_end({.sqlstate = base::kAdminShutdown,
                .message = "terminating connection due to administrator command",
                .hint = "Connect again."});
}

void Session::plan_timer() {
  const base::TimePoint next = next_deadline();
  if (next == base::kNever) {
    exchange_->timer.cancel();
  } else if (!exchange_->timer.armed() || exchange_->timer.deadline() != next) {
    home_.loop.timers().arm(exchange_->timer, next);
  }
}

// Since when the client has heard nothing.
base::TimePoint Session::quiet_since() const {
  const base::TimePoint since = state_ == State::kIdle ? idle_since_ : exchange_->idle_transaction_since;
  return std::max(since, exchange_->beat_at);
}

// A ParameterStatus, which a server may send at any time, with the value that the client knows already. It keeps
// the connection alive in address translators and firewalls on the way, and finds out whether the client lives.
void Session::send_heartbeat() {
  exchange_->beat_at = home_.loop.now();
  const bool in_message = upstream_ != nullptr && upstream_->scanner.remaining() > 0;
  if (client_->unsent() > 0 || in_message) return;
  const std::string* name = settings_->find(kHeartbeatName);
  base::ByteWriter out;
  pgwire::parameter_status(out, kHeartbeatName, name == nullptr ? std::string_view() : *name);
  client_->write(out.view());
}

void Session::on_timer() {
  const base::TimePoint now = home_.loop.now();
  const auto over = [&](base::TimePoint since, std::chrono::milliseconds limit) {
    return limit.count() > 0 && now >= since + limit;
  };
  const auto fatal = [&](base::SqlState state, std::string message, std::string hint) {
    tell_and_end({.sqlstate = state, .message = std::move(message), .hint = std::move(hint)});
  };
  if (is_in_transaction() && over(exchange_->transaction_since, identity_->transaction)) {
    return fatal(base::kTransactionTimeout, "terminating connection due to transaction timeout", "");
  }
  if (is_querying() && over(exchange_->request_since, identity_->query)) {
    return fatal(base::kQueryCanceled, "canceling statement due to query timeout (query_timeout)", "");
  }
  if (slowed_) return on_slow_timer();
  if (state_ == State::kMoving && over(idle_since_, kMovePatience)) {
    client_paused_ = false;
    client_->resume_receiving();
    begin();
    return home_.logged_in(*this);
  }
  if (state_ == State::kIdle && draining_) return part();
  const bool is_quiet = state_ == State::kIdle || (state_ == State::kActive && !is_querying());
  if (is_quiet && over(quiet_since(), identity_->heartbeat)) send_heartbeat();
  const bool idle = (state_ == State::kIdle && over(idle_since_, identity_->client_idle)) ||
                    (state_ == State::kRefusing && over(exchange_->request_since, identity_->client_idle));
  if (idle) {
    return fatal(base::kIdleSessionTimeout,
                 "terminating connection due to idle-session timeout (client_idle_timeout)", "");
  }
  if (state_ == State::kWaiting) {
    if (over(exchange_->request_since, identity_->query_wait)) {
      if (pool_->last_error() != nullptr) return tell_and_end(*pool_->last_error());
      return fatal(base::kTooManyConnections, "query_wait_timeout: no server connection became free in time",
                   pool_->is_paused() ? "The pool is paused: it waits for an administrator to resume it."
                                      : "The pool has too few server connections for its load, or queries "
                                        "and transactions take too long.");
    }
    if (!exchange_->notified &&
        over(exchange_->request_since, home_.instructions.settings->query_wait_notify)) {
      exchange_->notified = true;
      base::ByteWriter out;
      pgwire::notice_response(
          out,
          {.sqlstate = base::SqlState("00000"),
           .message = "No server connection available in postgres backend, client being queued",
           .detail = pool_->is_paused() ? "The pool is paused: it waits for an administrator to resume it."
                     : pool_->last_error() == nullptr
                         ? "The pool has no free server connection."
                         : "The last attempt to connect failed: " + pool_->last_error()->message + "."});
      client_->write(out.view());
    }
  }
  if (state_ == State::kActive && !is_in_transaction()) {
    if (over(exchange_->idle_transaction_since, identity_->client_idle)) {
      return fatal(base::kIdleSessionTimeout,
                   "terminating connection due to idle-session timeout (client_idle_timeout)", "");
    }
  } else if (state_ == State::kActive) {
    if (!is_querying() && over(exchange_->idle_transaction_since, identity_->idle_transaction)) {
      return fatal(base::kIdleInTransactionTimeout,
                   "terminating connection due to idle-in-transaction timeout", "");
    }
  }
  plan_timer();
}

}  // namespace penstock::session
