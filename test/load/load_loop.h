// LoadLoop runs thousands of scripted clients as coroutines: each waits for its socket or for a time, and for
// nothing else.
//
// Owner:      main(), by value.
// Home:       LOOP
// Invariants: 1. A Wait is known to the loop exactly while its coroutine is suspended in it.
// Waits:      every wait has a deadline.
#pragma once

#include <array>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <map>
#include <span>

#include "endpoint.h"

namespace penstock::load {

using Clock = std::chrono::steady_clock;

class LoadLoop {
 public:
  LoadLoop();

  void run_until(Clock::time_point end);
  static Clock::time_point now() { return Clock::now(); }
  // For one read, until the next co_await.
  std::span<char> scratch() { return scratch_; }

  // co_await loop.wait(fd, EPOLLIN, deadline): true when ready, false when the deadline came first.
  // With fd -1 it is a sleep. A descriptor must be waited for by one coroutine at a time.
  class Wait {
   public:
    Wait(LoadLoop& loop, int fd, std::uint32_t events, Clock::time_point deadline)
        : loop_(loop), fd_(fd), events_(events), deadline_(deadline) {}
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait() { leave(); }
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    bool await_resume() const { return ready_; }

   private:
    friend class LoadLoop;
    void leave();
    LoadLoop& loop_;
    int fd_;
    std::uint32_t events_;
    Clock::time_point deadline_;
    std::multimap<Clock::time_point, Wait*>::iterator timer_;
    std::coroutine_handle<> handle_;
    bool ready_ = false;
    bool suspended_ = false;
  };
  Wait wait(int fd, std::uint32_t events, Clock::time_point deadline) {
    return {*this, fd, events, deadline};
  }
  Wait sleep(Clock::duration time) { return {*this, -1, 0, now() + time}; }

 private:
  bench::Descriptor epoll_;
  std::array<char, 64 * 1024> scratch_;
  std::multimap<Clock::time_point, Wait*> timers_;
};

}  // namespace penstock::load
