#include "tls/handshake_gate.h"

#include <algorithm>

namespace penstock::tls {

namespace {

int burst_of(int per_second) {
  return std::max(2, per_second / 250);
}

}  // namespace

TokenBucket::TokenBucket(int per_second, int burst, base::TimePoint now)
    : interval_(per_second > 0 ? base::Duration(std::chrono::seconds(1)) / per_second
                               : base::Duration::zero()),
      allowance_(interval_ * (burst - 1)),
      full_at_(now) {}

bool TokenBucket::take(base::TimePoint now) {
  if (next(now) > now) return false;
  full_at_ = std::max(full_at_, now) + interval_;
  return true;
}

base::TimePoint TokenBucket::next(base::TimePoint now) const {
  if (interval_ == base::Duration::zero()) return now;
  return std::max(now, full_at_ - allowance_);
}

HandshakeGate::HandshakeGate(io::Loop& loop, int per_second)
    : loop_(loop), bucket_(per_second, burst_of(per_second), loop.now()) {}

void HandshakeGate::set_rate(int per_second) {
  bucket_ = TokenBucket(per_second, burst_of(per_second), loop_.now());
  on_token();
}

bool HandshakeGate::enter_at_once() {
  return waiting_.empty() && bucket_.take(loop_.now());
}

void HandshakeGate::on_token() {
  // One at a time: a handshake resumed here runs at once, and what it does may change the list.
  while (!waiting_.empty() && bucket_.take(loop_.now())) {
    Pass& next = waiting_.front();
    waiting_.pop_front();
    next.timer_.cancel();
    next.caller_.resume();
  }
  if (!waiting_.empty()) loop_.timers().arm(timer_, bucket_.next(loop_.now()));
}

void HandshakeGate::Pass::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  ++gate_.delayed_;
  gate_.waiting_.push_back(*this);
  if (deadline_ != base::kNever) gate_.loop_.timers().arm(timer_, deadline_);
  if (!gate_.timer_.armed()) gate_.loop_.timers().arm(gate_.timer_, gate_.bucket_.next(gate_.loop_.now()));
}

base::Status HandshakeGate::Pass::await_resume() {
  if (!timed_out_) return {};
  return base::fail(base::kConnectionRejected, "too many TLS handshakes at the same time", {},
                    "Try again in a moment, or raise tls_handshakes_per_second.");
}

void HandshakeGate::Pass::on_deadline() {
  timed_out_ = true;
  ++gate_.rejected_;
  this->unlink();
  caller_.resume();
}

}  // namespace penstock::tls
