// Task<T>: a coroutine for sequences with a fixed order (start-up, log-in, cancel, reset).
//
// Lazy: runs when awaited or start()ed. The owner of a started Task may destroy it at any await point: the
// frame dies, and every awaitable of this code base unregisters itself in its destructor. That is how a
// deadline or a stop ends a sequence from outside.
//
// Owner:      the object whose sequence it is, by value.
// Home:       LOOP
// Invariants: 1. A Task is awaited or started at most once.
//             2. `on_done` of start() is called exactly once unless the Task is destroyed first; it may
//             destroy it.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace penstock::io {

template <class T>
class Task;

namespace detail {

struct PromiseCore {
  std::coroutine_handle<> continuation;
  std::move_only_function<void()> on_done;

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) noexcept {
      PromiseCore& promise = handle.promise();
      if (promise.continuation) return promise.continuation;
      if (promise.on_done) {
        auto done = std::move(promise.on_done);
        done();  // may destroy the frame: touch nothing after this
      }
      return std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct Promise : PromiseCore {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct Promise<void> : PromiseCore {
  Task<void> get_return_object();
  void return_void() noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;

  Task() = default;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  explicit operator bool() const { return static_cast<bool>(handle_); }
  bool done() const { return handle_ && handle_.done(); }

  // Runs until the first suspension; `on_done` is called when the coroutine has ended (possibly before this
  // returns).
  void start(std::move_only_function<void()> on_done) {
    PENSTOCK_ASSERT(handle_ && !handle_.done());
    handle_.promise().on_done = std::move(on_done);
    handle_.resume();
  }

  // The result of a finished Task.
  T take_result()
    requires(!std::is_void_v<T>)
  {
    PENSTOCK_ASSERT(done());
    return std::move(*handle_.promise().value);
  }

  auto operator co_await() && {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() const { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
        handle.promise().continuation = caller;
        return handle;
      }
      T await_resume() {
        if constexpr (!std::is_void_v<T>) return std::move(*handle.promise().value);
      }
    };
    PENSTOCK_ASSERT(handle_);
    return Awaiter{handle_};
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> detail::Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace penstock::io
