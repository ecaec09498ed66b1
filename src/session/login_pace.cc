#include "session/login_pace.h"

namespace penstock::session {

void LoginPace::begin_turn() {
  if (turn_ == loop_.now()) return;
  turn_ = loop_.now();
  left_ = kStepsPerTurn;
}

bool LoginPace::take_at_once() {
  begin_turn();
  if (!waiting_.empty() || left_ <= 0) return false;
  --left_;
  return true;
}

void LoginPace::Step::await_suspend(std::coroutine_handle<> caller) {
  caller_ = caller;
  pace_.waiting_.push_back(*this);
  pace_.go_on_soon();
}

// In the past: in the next turn, without sleeping before it.
void LoginPace::go_on_soon() {
  if (!timer_.armed()) loop_.timers().arm(timer_, loop_.now() - 2 * io::TimerWheel::kTick);
}

// In the next turn: what has come from servers and clients meanwhile has had its turn.
void LoginPace::go_on() {
  turn_ = loop_.now();
  for (left_ = kStepsPerTurn; left_ > 0 && !waiting_.empty(); --left_) {
    Step& next = waiting_.front();
    waiting_.pop_front();
    next.caller_.resume();
  }
  if (!waiting_.empty()) go_on_soon();
}

}  // namespace penstock::session
