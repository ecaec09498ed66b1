// Limits per second of a tenant: queries, and bytes in both directions. Who goes beyond is slowed down, not refused:
// nothing more is read from the client (nor from its server) before its turn has come, and the network does the
// rest. A request that has yet to get an upstream waits without one.
#include <algorithm>

#include "session/session.h"

namespace penstock::session {

// False: the request waits, or the client has been told that it would have to wait for too long.
bool Session::admit_request() {
  if (std::exchange(exchange_->admitted, false)) {
    exchange_->requests = -1;  // it has been counted
    return true;
  }
  const base::TimePoint now = home_.loop.now();
  const base::TimePoint latest =
      identity_->query_wait.count() > 0 ? now + identity_->query_wait : base::kNever;
  const std::optional<base::TimePoint> when = pool_->admit_query(latest);
  if (!when.has_value()) {
    tell_and_end({.sqlstate = base::kTooManyConnections,
                  .message = "query_wait_timeout: the tenant's queries_per_second leave no room in time",
                  .detail = "The tenant's clients have sent more than " +
                            std::to_string(pool_->config().queries_per_second) +
                            " queries in a second for a long time.",
                  .hint = "Send fewer queries, or raise the tenant's queries_per_second."});
    return false;
  }
  if (*when <= now) {
    exchange_->requests = -1;
    return true;
  }
  exchange_->admitted = true;
  slowed_ = true;
  exchange_->slowed_at = now;
  exchange_->slowed_until = *when;
  hold_back();
  return false;
}

// Counts what has been passed on; hold_back() then acts on it.
void Session::owe(int queries, std::size_t bytes) {
  const base::TimePoint now = home_.loop.now();
  const base::TimePoint until = pool_->charge(queries, bytes);
  if (until <= now) return;
  need_exchange();
  exchange_->slowed_until = slowed_ ? std::max(exchange_->slowed_until, until) : until;
  exchange_->slowed_at = now;
  slowed_ = true;
}

void Session::hold_back() {
  if (!slowed_ || state_ == State::kGone) return;
  if (!client_paused_) {
    client_paused_ = true;
    client_->pause_receiving();
  }
  if (upstream_ != nullptr && !upstream_paused_) {
    upstream_paused_ = true;
    upstream_->stream().pause_receiving();
  }
  need_exchange();
  plan_timer();
}

void Session::on_slow_timer() {
  const bool is_over = !pool_->is_metered() || pool_->metered_since() > exchange_->slowed_at;
  if (is_over || home_.loop.now() >= exchange_->slowed_until) return speed_up();
  plan_timer();
}

void Session::speed_up() {
  slowed_ = false;
  // The client may have been about to speak: its silence begins anew.
  idle_since_ = exchange_->idle_transaction_since = home_.loop.now();
  if (upstream_ != nullptr && upstream_paused_) {
    upstream_paused_ = false;
    upstream_->stream().resume_receiving();
  }
  resume_client();
  if (state_ == State::kIdle) return wait_for_request();
  plan_timer();
}

}  // namespace penstock::session
