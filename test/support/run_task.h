// run_task() runs a coroutine on a simulated loop to its end.
#pragma once

#include <optional>
#include <utility>

#include "io/sim_loop.h"
#include "io/task.h"

namespace penstock::sim {

// Nothing when it has not ended within an hour of the world's time; it is given up then.
template <class T>
std::optional<T> run_task(io::SimLoop& loop, io::Task<T> task) {
  bool done = false;
  loop.post([&] { task.start([&] { done = true; }); });
  loop.world().run_until([&] { return done; }, loop.world().now() + std::chrono::hours(1));
  return done ? std::optional<T>(task.take_result()) : std::nullopt;
}

}  // namespace penstock::sim
