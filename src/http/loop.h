// Loop: the control thread's event loop, for everything that is not on the way of a query.
//
// Owner:      the composition root; outlives whatever runs on it.
// Home:       the control thread, which calls run_until_readable(); post() from any thread.
// Invariants: what is posted runs on the control thread, in order, and is dropped when the loop dies first.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace penstock::http {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;

  void post(std::move_only_function<void()> call);
  // The same after a time, once. On the control thread.
  void after(std::chrono::milliseconds time, std::move_only_function<void()> call);
  // Runs what there is to do until the descriptor is readable (true) or the time is over. Always for the same
  // descriptor, which stays its owner's.
  bool run_until_readable(int descriptor, std::chrono::milliseconds timeout);
  // The same without a descriptor.
  void run_for(std::chrono::milliseconds time);

  struct Native;  // beast.h
  Native& native() { return *native_; }

 private:
  std::unique_ptr<Native> native_;
};

}  // namespace penstock::http
