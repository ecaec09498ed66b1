#include "io/loop.h"

namespace penstock::io {

Loop::Loop(base::Random& random, base::TimePoint start) : random_(random), now_(start), timers_(start) {}

void Loop::post(std::move_only_function<void()> call) {
  bool first;
  {
    const std::lock_guard lock(mailbox_mutex_);
    first = mailbox_.empty();
    mailbox_.push_back(std::move(call));
  }
  if (first) wake();
}

void Loop::stop() {
  post([this] {
    stop_requested_ = true;
    wind_down_end_ = now_ + kWindDown;
    timers_.arm(wind_down_timer_, wind_down_end_);
  });
}

void Loop::run_mailbox() {
  std::vector<std::move_only_function<void()>> calls;
  {
    const std::lock_guard lock(mailbox_mutex_);
    calls.swap(mailbox_);
  }
  for (auto& call : calls) call();
}

std::unique_ptr<Connecting> Loop::refuse_later(base::Error error, ConnectDone done) {
  class Refused final : public Connecting {
   public:
    Refused(Loop& loop, base::Error error, ConnectDone done)
        : error_(std::move(error)), done_(std::move(done)), timer_(Timer::calling<&Refused::say>(this)) {
      loop.timers().arm(timer_, loop.now());
    }

   private:
    void say() {
      auto done = std::move(done_);
      done(base::fail(std::move(error_)));
    }
    base::Error error_;
    ConnectDone done_;
    Timer timer_;
  };
  return std::make_unique<Refused>(*this, std::move(error), std::move(done));
}

void Loop::finish_turn() {
  run_mailbox();
  timers_.advance(now_);
  // A deferred call may defer again and a flush may write to another stream: go on until both are empty.
  while (!deferred_.empty() || !dirty_.empty()) {
    std::vector<std::move_only_function<void()>> calls;
    calls.swap(deferred_);
    for (auto& call : calls) call();
    while (!dirty_.empty()) {
      Flushable& flushable = dirty_.front();
      dirty_.pop_front();
      flushable.flush();
    }
  }
}

}  // namespace penstock::io
