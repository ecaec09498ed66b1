// Awaitable forms of the loop's operations, for coroutines. Destroying the coroutine gives the operation up.
//
// Owner: the awaiting coroutine's frame. Home: LOOP.
#pragma once

#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/loop.h"
#include "io/resolver.h"

namespace penstock::io {

class ConnectAwait {
 public:
  ConnectAwait(Loop& loop, const Address& address, base::TimePoint deadline)
      : loop_(loop), address_(address), deadline_(deadline) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    connecting_ = loop_.connect(address_, deadline_, [this, caller](base::Result<StreamPtr> stream) {
      result_.emplace(std::move(stream));
      caller.resume();
    });
  }
  base::Result<StreamPtr> await_resume() { return std::move(*result_); }

 private:
  Loop& loop_;
  const Address& address_;
  base::TimePoint deadline_;
  std::optional<base::Result<StreamPtr>> result_;
  std::unique_ptr<Connecting> connecting_;
};

class ResolveAwait {
 public:
  ResolveAwait(Resolver& resolver, std::string host, std::uint16_t port, Loop& loop, base::TimePoint deadline)
      : resolver_(resolver), host_(std::move(host)), port_(port), loop_(loop), deadline_(deadline) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    resolving_ = resolver_.resolve(host_, port_, loop_, deadline_,
                                   [this, caller](base::Result<std::vector<Address>> addresses) {
                                     result_.emplace(std::move(addresses));
                                     caller.resume();
                                   });
  }
  base::Result<std::vector<Address>> await_resume() { return std::move(*result_); }

 private:
  Resolver& resolver_;
  std::string host_;
  std::uint16_t port_;
  Loop& loop_;
  base::TimePoint deadline_;
  std::optional<base::Result<std::vector<Address>>> result_;
  std::unique_ptr<Resolving> resolving_;
};

class SleepAwait {
 public:
  SleepAwait(Loop& loop, base::Duration duration) : loop_(loop), duration_(duration) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    caller_ = caller;
    loop_.timers().arm(timer_, loop_.now() + duration_);
  }
  void await_resume() const {}

 private:
  void wake() { caller_.resume(); }
  Loop& loop_;
  base::Duration duration_;
  std::coroutine_handle<> caller_;
  Timer timer_ = Timer::calling<&SleepAwait::wake>(this);
};

}  // namespace penstock::io
