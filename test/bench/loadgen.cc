// loadgen: thousands of clients per core, each answer checked. Phases: connect, (hold), warm up, measure,
// drain.
//
// Standard output: one line of JSON per event, the last one being the result. Exit code 1 when an answer did
// not belong to its question, 2 when no measurement was possible.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cpu_clock.h"
#include "load_thread.h"

namespace {

using namespace penstock::bench;
using Clock = std::chrono::steady_clock;
using Threads = std::vector<std::unique_ptr<LoadThread>>;

constexpr auto kDrainMax = std::chrono::seconds(10);

void tell(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

template <class Count>
std::uint64_t sum(const Threads& threads, Count&& count) {
  std::uint64_t total = 0;
  for (const auto& thread : threads) total += count(*thread);
  return total;
}

void enter(const Threads& threads, Phase phase) {
  for (const auto& thread : threads) thread->enter(phase);
}

Threads make_threads(const LoadOptions& options) {
  Threads threads;
  std::uint32_t next = options.first_client;
  for (unsigned i = 0; i < options.threads; ++i) {
    const unsigned count =
        options.clients / options.threads + (i < options.clients % options.threads ? 1 : 0);
    threads.push_back(std::make_unique<LoadThread>(options, next, count, options.rate / options.threads));
    next += count;
  }
  return threads;
}

bool wait_until_connected(const LoadOptions& options, const Threads& threads) {
  const auto start = Clock::now();
  while (sum(threads, [](const LoadThread& t) { return t.ready(); }) < options.clients) {
    const std::chrono::duration<double> waited = Clock::now() - start;
    const auto failures = sum(threads, [](const LoadThread& t) { return t.failures(); });
    if (waited.count() > options.connecting_s || failures > 100 + options.clients) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  tell(fmt::format(R"({{"event": "connected", "clients": {}, "seconds": {:.3f}}})", options.clients,
                   std::chrono::duration<double>(Clock::now() - start).count()));
  return true;
}

std::map<int, std::uint64_t> cpu_of(const std::vector<int>& pids) {
  std::map<int, std::uint64_t> times;
  for (const int pid : pids) times[pid] = cpu_ns_of(pid);
  return times;
}

// Until standard input has a line or has ended, or until `end`.
void wait_for_input(std::chrono::time_point<Clock, std::chrono::duration<double>> end) {
  const double left_ms = std::chrono::duration<double, std::milli>(end - Clock::now()).count();
  pollfd input{STDIN_FILENO, POLLIN, 0};
  poll(&input, 1, static_cast<int>(std::max(left_ms, 0.0)));
}

// Returns how long was measured, in seconds.
double measure(const LoadOptions& options, const Threads& threads, std::map<int, std::uint64_t>& cpu) {
  enter(threads, Phase::kWarm);
  std::this_thread::sleep_for(std::chrono::duration<double>(options.warmup_s));
  tell(R"({"event": "measuring"})");
  const std::map<int, std::uint64_t> before = cpu_of(options.watch);
  const auto start = Clock::now();
  enter(threads, Phase::kMeasure);
  const auto end = start + std::chrono::duration<double>(options.seconds);
  if (options.until_line) {
    wait_for_input(end);
  } else {
    std::this_thread::sleep_until(end);
  }
  enter(threads, Phase::kDrain);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  cpu = cpu_of(options.watch);
  for (auto& [pid, ns] : cpu) ns -= std::min(ns, before.at(pid));

  const auto drain_start = Clock::now();
  while (sum(threads, [](const LoadThread& t) { return t.outstanding(); }) > 0 &&
         Clock::now() - drain_start < kDrainMax) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const LoadOptions options = read_load_options(argc, argv);
  signal(SIGPIPE, SIG_IGN);  // NOLINT: OpenSSL writes without MSG_NOSIGNAL
  raise_file_limit();
  const Threads threads = make_threads(options);
  std::vector<std::jthread> runners;
  for (const auto& thread : threads) runners.emplace_back([&thread] { thread->run(); });

  const bool connected = wait_until_connected(options, threads);
  double seconds = 0;
  std::map<int, std::uint64_t> cpu;
  if (connected) {
    std::string line;
    if (options.hold) std::getline(std::cin, line);
    if (options.seconds > 0) seconds = measure(options, threads, cpu);
  }
  enter(threads, Phase::kStop);
  runners.clear();
  LoadTotals totals;
  for (const auto& thread : threads) totals.add(thread->result());
  tell(to_json(options, totals, std::max(seconds, 1e-9), cpu));
  return !connected ? 2 : totals.violations > 0 ? 1 : 0;
}
