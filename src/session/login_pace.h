// LoginPace lets so many steps of log-ins run in one turn of the loop, so that queries come in between.
//
// Without it a storm of reconnecting clients fills turns with log-ins, and every query waits behind all of them.
//
// Owner:      the Worker.
// Home:       LOOP
// Invariants: steps run in the order in which they came.
// Waits:      for a turn that has room; a log-in that dies meanwhile leaves the queue.
// Bounds:     one place in the queue for each log-in under way.
#pragma once

#include <coroutine>

#include "base/intrusive_list.h"
#include "io/loop.h"

namespace penstock::session {

class LoginPace {
 public:
  static constexpr int kStepsPerTurn = 8;  // of 10 to 20 us each
  explicit LoginPace(io::Loop& loop) : loop_(loop), timer_(io::Timer::calling<&LoginPace::go_on>(this)) {}
  LoginPace(const LoginPace&) = delete;
  LoginPace& operator=(const LoginPace&) = delete;

  class Step : public base::ListHook<LoginPace> {
   public:
    explicit Step(LoginPace& pace) : pace_(pace) {}
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
    bool await_ready() { return pace_.take_at_once(); }
    void await_suspend(std::coroutine_handle<> caller);
    void await_resume() {}

   private:
    friend class LoginPace;
    LoginPace& pace_;
    std::coroutine_handle<> caller_;
  };
  // co_await pace.step();  ahead of the work
  Step step() { return Step(*this); }

 private:
  bool take_at_once();
  void begin_turn();
  void go_on_soon();
  void go_on();

  io::Loop& loop_;
  base::List<Step, LoginPace> waiting_;
  base::TimePoint turn_{};  // the one that left_ is for
  int left_ = kStepsPerTurn;
  io::Timer timer_;
};

}  // namespace penstock::session
