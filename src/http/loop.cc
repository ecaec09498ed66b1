#include "http/loop.h"

#include "http/native_loop.h"

namespace penstock::http {

Loop::Loop() : native_(std::make_unique<Native>()) {}

Loop::~Loop() {
  if (native_->watched) (void)native_->watched->release();
}

void Loop::post(std::move_only_function<void()> call) {
  asio::post(native_->io, std::move(call));
}

void Loop::after(std::chrono::milliseconds time, std::move_only_function<void()> call) {
  auto timer = std::make_unique<asio::steady_timer>(native_->io, time);
  asio::steady_timer& armed = *timer;
  armed.async_wait(
      [timer = std::move(timer), call = std::move(call)](const boost::system::error_code& error) mutable {
        if (!error) call();
      });
}

void Loop::run_for(std::chrono::milliseconds time) {
  // With nothing to wait for, Asio would come back at once.
  const auto stay = asio::make_work_guard(native_->io);
  native_->io.restart();
  native_->io.run_for(time);
}

bool Loop::run_until_readable(int descriptor, std::chrono::milliseconds timeout) {
  Native& native = *native_;
  if (!native.watched) native.watched.emplace(native.io, descriptor);
  if (!native.is_waiting) {
    native.is_waiting = true;
    native.is_readable = false;
    native.watched->async_wait(asio::posix::stream_descriptor::wait_read,
                               [&native](const boost::system::error_code& error) {
                                 native.is_waiting = false;
                                 native.is_readable = !error;
                               });
  }
  native.io.restart();
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!native.is_readable && native.io.run_one_until(deadline) > 0) {
  }
  return std::exchange(native.is_readable, false);
}

}  // namespace penstock::http
