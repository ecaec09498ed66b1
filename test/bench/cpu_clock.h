// CPU time of other processes, to the nanosecond, from the scheduler's own account.
//
// Source: Linux, Documentation/scheduler/sched-stats.rst: the first number of /proc/PID/task/TID/schedstat.
#pragma once

#include <cstdint>

namespace penstock::bench {

// Nanoseconds on a CPU of all threads that `pid` has now; 0 when there is no such process.
std::uint64_t cpu_ns_of(int pid);

}  // namespace penstock::bench
