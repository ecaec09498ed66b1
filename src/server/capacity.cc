#include "server/capacity.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace penstock::server {

Capacity capacity(const CapacityQuestion& question) {
  const std::uint64_t by_files = sockets_for_clients(question.sockets_max);
  const std::uint64_t by_memory = question.memory_available == 0
                                      ? std::numeric_limits<std::uint64_t>::max()
                                      : question.memory_available / question.client_bytes;
  const std::uint64_t wanted = question.max_clients == 0 ? std::numeric_limits<std::uint64_t>::max()
                                                         : static_cast<std::uint64_t>(question.max_clients);
  if (wanted <= by_files && wanted <= by_memory)
    return {.clients = wanted, .limited_by = "max_clients", .hint = ""};
  if (by_memory < by_files) {
    return {.clients = by_memory,
            .limited_by = "memory",
            .hint = fmt::format(
                "An idle client takes about {} KiB, the kernel's part included: add memory{}.",
                question.client_bytes / 1024, question.max_clients == 0 ? "" : ", or lower max_clients")};
  }
  return {
      .clients = by_files,
      .limited_by = "open files",
      .hint =
          question.per_worker
              ? fmt::format("Each worker may have {} sockets, as many as the process may have open files: "
                            "raise that limit (LimitNOFILE, ulimit -n), or have more workers.",
                            question.open_files)
              : fmt::format(
                    "The process may have {} open files: raise that limit (LimitNOFILE, ulimit -n){}.",
                    question.open_files, ", or use io_uring, whose sockets do not count")};
}

std::uint64_t memory_available() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  for (std::string unit; file >> name >> kib; std::getline(file, unit)) {
    if (name == "MemAvailable:") return kib * 1024;
  }
  return 0;
}

}  // namespace penstock::server
