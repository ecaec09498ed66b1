#include "cpu_clock.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace penstock::bench {

std::uint64_t cpu_ns_of(int pid) {
  std::uint64_t total = 0;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "schedstat");
    std::uint64_t running = 0;
    if (file >> running) total += running;
  }
  return total;
}

}  // namespace penstock::bench
