// Time as every module of Penstock sees it: a point on the loop's steady clock, real or simulated.
#pragma once

#include <chrono>

namespace penstock::base {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline constexpr TimePoint kNever = TimePoint::max();

}  // namespace penstock::base
