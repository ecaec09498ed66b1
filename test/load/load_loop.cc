#include "load_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace penstock::load {

LoadLoop::LoadLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

void LoadLoop::Wait::await_suspend(std::coroutine_handle<> handle) {
  handle_ = handle;
  suspended_ = true;
  timer_ = loop_.timers_.emplace(deadline_, this);
  if (fd_ < 0) return;
  epoll_event event{};
  event.events = events_ | EPOLLONESHOT;
  event.data.ptr = this;
  if (epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_, &event) != 0) {
    if (errno != ENOENT || epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_ADD, fd_, &event) != 0) {
      bench::die_errno("epoll_ctl");
    }
  }
}

void LoadLoop::Wait::leave() {
  if (!std::exchange(suspended_, false)) return;
  loop_.timers_.erase(timer_);
  if (fd_ < 0 || ready_) return;  // an event that came has disarmed itself
  epoll_event nothing{};
  epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_, &nothing);
}

void LoadLoop::run_until(Clock::time_point end) {
  std::array<epoll_event, 256> events;
  while (now() < end) {
    const auto next = timers_.empty() ? end : std::min(end, timers_.begin()->first);
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(next - now()).count();
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(std::clamp<long>(patience + 1, 0, 1000)));
    for (int i = 0; i < count; ++i) {
      Wait& wait = *static_cast<Wait*>(events[static_cast<std::size_t>(i)].data.ptr);
      wait.ready_ = true;
      wait.leave();
      wait.handle_.resume();
    }
    while (!timers_.empty() && timers_.begin()->first <= now()) {
      Wait& wait = *timers_.begin()->second;
      wait.leave();
      wait.handle_.resume();
    }
  }
}

}  // namespace penstock::load
