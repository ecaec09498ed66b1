// Capacity: how many clients this machine lets the process have, why no more, and what to raise.
//
// Said once at start-up: an operator should not learn of a limit of open files from clients that hang.
//
// Home: any thread (pure).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::server {

// What an idle client costs, the kernel's part included (docs/benchmarks.md).
constexpr std::uint64_t kClientBytes = 5 * 1024;
constexpr std::uint64_t kTlsClientBytes = 22 * 1024;
constexpr std::uint64_t kCompactTlsClientBytes = 6 * 1024;

struct CapacityQuestion {
  std::uint64_t sockets_max = 0;       // of all workers together
  std::uint64_t memory_available = 0;  // bytes; 0: not known
  std::uint64_t open_files = 0;        // the process's limit
  bool per_worker = false;             // each worker may have as many sockets as there are open files
  std::uint64_t client_bytes = kClientBytes;
  int max_clients = 0;  // as configured; 0: no limit
};

struct Capacity {
  std::uint64_t clients = 0;
  std::string_view limited_by;  // "max_clients", "open files" or "memory"
  std::string hint;             // what to raise; empty: only the configuration limits
};

// Of a worker's sockets, so many are kept for servers and for telling clients that there is no room.
constexpr std::uint64_t sockets_for_clients(std::uint64_t sockets) {
  return sockets - sockets / 20;
}

Capacity capacity(const CapacityQuestion& question);

// MemAvailable of /proc/meminfo, in bytes; 0: not known.
std::uint64_t memory_available();

}  // namespace penstock::server
