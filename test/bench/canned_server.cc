// canned_server: a Postgres without a database, so that the cost of what stands before it is all that is
// measured.
//
// Prints what it counted, as a line of JSON, at SIGUSR1 and when it is told to stop (SIGTERM, SIGINT).
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "canned_thread.h"

namespace {

using namespace penstock::bench;

struct Options {
  std::vector<std::string> listen = {"127.0.0.1:5499"};
  unsigned threads = 1;
  std::uint64_t delay_us = 0;
  CannedConfig canned;
};

Options read_options(int argc, char** argv) {
  Options options;
  CLI::App app{"A Postgres that answers without a database."};
  app.add_option("--listen", options.listen, "address:port or socket path; may be repeated");
  app.add_option("--threads", options.threads, "event loops")->check(CLI::Range(1, 64));
  app.add_option("--auth", options.canned.auth, "trust, md5 or scram")
      ->transform(CLI::CheckedTransformer(std::map<std::string, CannedAuth>{
          {"trust", CannedAuth::kTrust}, {"md5", CannedAuth::kMd5}, {"scram", CannedAuth::kScram}}));
  app.add_option("--password", options.canned.password, "of every user");
  app.add_option("--iterations", options.canned.iterations, "of SCRAM")->check(CLI::Range(1, 1'000'000));
  app.add_option("--delay-us", options.delay_us, "before each answer to a SELECT, microseconds");
  app.add_option("--corrupt", options.canned.corruption, "plant a mistake: none, token, byte or row")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Corruption>{{"none", Corruption::kNone},
                                                                    {"token", Corruption::kSwapTokens},
                                                                    {"byte", Corruption::kFlipByte},
                                                                    {"row", Corruption::kDropRow}}));
  app.add_option("--corrupt-every", options.canned.corrupt_every, "answers per planted mistake");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  options.canned.delay_ns = options.delay_us * 1000;
  options.canned.corrupt_every = std::max<std::uint64_t>(options.canned.corrupt_every, 1);
  options.canned.keys = derive_keys(options.canned.password, options.canned.salt, options.canned.iterations);
  return options;
}

void print_stats(const CannedStats& stats) {
  fmt::print(
      "{{\"connections\": {}, \"queries\": {}, \"parses\": {}, \"binds\": {}, \"executes\": {}, \"syncs\": "
      "{}, \"segments_in\": {}, \"cancels\": "
      "{}, "
      "\"unknown_statements\": {}, \"errors\": {}, \"corrupted\": {}}}\n",
      stats.connections, stats.queries, stats.parses, stats.binds, stats.executes, stats.syncs,
      stats.segments_in, stats.cancels, stats.unknown_statements, stats.errors, stats.corrupted);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  raise_file_limit();

  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigaddset(&end, SIGINT);
  sigaddset(&end, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);

  std::vector<Descriptor> listeners;
  for (const std::string& text : options.listen) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint) die("not an address: " + text);
    listeners.push_back(listen_on(*endpoint));
  }
  std::vector<std::unique_ptr<CannedThread>> loops;
  for (unsigned i = 0; i < options.threads; ++i) {
    loops.push_back(std::make_unique<CannedThread>(options.canned, loops, listeners));
  }
  std::vector<std::jthread> threads;
  for (const auto& loop : loops) threads.emplace_back([&loop] { loop->run(); });

  int signal = 0;
  while (sigwait(&end, &signal) == 0 && signal == SIGUSR1) {
    CannedStats now;
    for (const auto& loop : loops) now.add(loop->ask_stats());
    print_stats(now);
  }
  for (const auto& loop : loops) loop->stop();
  threads.clear();
  CannedStats total;
  for (const auto& loop : loops) total.add(loop->stats());
  print_stats(total);
  return 0;
}
