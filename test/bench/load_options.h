// What loadgen was asked to do, and what it found.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "endpoint.h"
#include "histogram.h"

namespace penstock::bench {

enum class LoadMode {
  kSimple,
  kExtended,  // Parse, Bind, Describe, Execute, Sync, as libpq's PQexecParams
  kPrepared,  // Bind, Describe, Execute, Sync of named statements, as PQexecPrepared
  kCopyOut,
  kCopyIn,
  kConnect,  // a connection per query
  kLogin,    // a connection and nothing else; what counts as a query is a login
};

struct LoadOptions {
  Endpoint target;
  LoadMode mode = LoadMode::kSimple;
  unsigned clients = 1;
  unsigned threads = 1;
  unsigned pipeline = 1;        // queries per batch
  unsigned statements = 1;      // named ones per client
  std::uint64_t repeat = 1;     // how many tokens long an answer is
  std::uint64_t rows = 1;       // per answer
  std::uint64_t read_rate = 0;  // bytes per second that a client reads; 0: as they come
  int receive_buffer = 0;       // bytes that the kernel may keep for it, about; 0: as many as it likes
  double rate = 0;  // queries per second of all clients; 0: each asks again as soon as it has its answer
  double warmup_s = 0.5;
  double seconds = 3;
  unsigned sources = 0;       // how many addresses to come from; 0: the system's choice
  unsigned first_source = 2;  // 127.0.0.first_source
  unsigned connecting_max = 128;
  double connecting_s = 600;       // until all must be there
  std::uint32_t first_client = 0;  // number of the first client, for several generators at once
  bool greet = false;              // one query per client right after its login
  bool hold = false;               // when all are connected, wait for a line on standard input
  bool until_line = false;         // measure until a (further) line comes, at most `seconds`
  bool segments = false;           // count the TCP segments that clients receive
  bool tls = false;
  bool tls_resume = false;
  // "{}" in user and database stands for a number from 0 to names - 1, another one for each client.
  unsigned names = 1;
  std::string user = "bench";
  std::string password = "bench";
  std::string database = "bench";
  std::vector<int> watch;  // processes whose CPU time is measured
};

// What one thread counted; all of it within the measured time, but for greetings, errors and violations, which
// always count.
struct LoadTotals {
  Histogram latency;
  Histogram login;
  Histogram greeting;  // with --greet: from connecting to the first answer
  std::uint64_t queries = 0;
  std::uint64_t queries_outside = 0;  // answered before and after
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;                  // of COPY only
  std::uint64_t segments_in = 0;                // from kWarm to kDrain
  std::uint64_t resumed = 0;                    // TLS handshakes with a session from before
  std::uint64_t overdue = 0;                    // open loop: queries that were due and never sent
  std::uint64_t unanswered = 0;                 // at the end
  std::map<std::string, std::uint64_t> errors;  // by SQLSTATE, or in words
  std::uint64_t violations = 0;                 // answers that do not belong to their question
  std::vector<std::string> first_violations;

  void violation(std::string what) {
    ++violations;
    if (first_violations.size() < 5) first_violations.push_back(std::move(what));
  }
  void add(const LoadTotals& other);
};

LoadOptions read_load_options(int argc, char** argv);
// One line of JSON.
std::string to_json(const LoadOptions& options, const LoadTotals& totals, double seconds,
                    const std::map<int, std::uint64_t>& cpu_ns);

}  // namespace penstock::bench
