// HandshakeGate spaces out the handshakes of one worker, so that a storm of reconnecting clients cannot
// starve the queries of those already there (a handshake costs as much CPU as dozens of queries).
//
// Owner:      the worker, by value; outlives everyone who waits at it. A waiter is a node on a coroutine's
//             frame.
// Home:       LOOP
// Invariants: 1. Over any time t at most `burst` + rate × t may pass.
//             2. Who waits passes in order of arrival; nobody overtakes.
// Waits:      pass() until it is our turn or the deadline.
// Errors:     kConnectionRejected when the deadline comes first.
// Bounds:     as many waiters as there are clients logging in.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/intrusive_list.h"
#include "io/loop.h"

namespace penstock::tls {

// The arithmetic: tokens grow with time up to `burst`; each admission takes one.
class TokenBucket {
 public:
  // `per_second` 0: no limit.
  TokenBucket(int per_second, int burst, base::TimePoint now);

  bool take(base::TimePoint now);
  // When the next token will be there.
  base::TimePoint next(base::TimePoint now) const;

 private:
  base::Duration interval_;   // between tokens; zero: no limit
  base::Duration allowance_;  // how far full_at_ may lie ahead for another token to be there
  base::TimePoint full_at_;   // when the bucket will be full again if nobody takes
};

class HandshakeGate {
 public:
  // Lets through `per_second`, and of these two at once, or as many as come in 4 ms: more would
  // hold up queries. 0: no limit.
  HandshakeGate(io::Loop& loop, int per_second);
  HandshakeGate(const HandshakeGate&) = delete;
  HandshakeGate& operator=(const HandshakeGate&) = delete;

  class Pass : public base::ListHook<HandshakeGate> {
   public:
    Pass(HandshakeGate& gate, base::TimePoint deadline) : gate_(gate), deadline_(deadline) {}
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

    bool await_ready() { return gate_.enter_at_once(); }
    void await_suspend(std::coroutine_handle<> caller);
    base::Status await_resume();

   private:
    friend class HandshakeGate;
    void on_deadline();

    HandshakeGate& gate_;
    base::TimePoint deadline_;
    io::Timer timer_ = io::Timer::calling<&Pass::on_deadline>(this);
    std::coroutine_handle<> caller_;
    bool timed_out_ = false;
  };
  // Status admitted = co_await gate.pass(deadline);
  Pass pass(base::TimePoint deadline) { return Pass(*this, deadline); }

  // A new rate, at once (reload).
  void set_rate(int per_second);

  std::uint64_t delayed() const { return delayed_; }    // had to wait, in total
  std::uint64_t rejected() const { return rejected_; }  // waited in vain, in total

 private:
  bool enter_at_once();
  void on_token();

  io::Loop& loop_;
  TokenBucket bucket_;
  base::List<Pass, HandshakeGate> waiting_;
  io::Timer timer_ = io::Timer::calling<&HandshakeGate::on_token>(this);
  std::uint64_t delayed_ = 0;
  std::uint64_t rejected_ = 0;
};

}  // namespace penstock::tls
