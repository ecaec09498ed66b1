// SlowLog: writes down queries that took too long, without the values in them, and remembers the last ones.
//
// Without it, a worker would have to parse the query, which costs more than relaying it, and as much stack as its author
// likes.
//
// Owner:      the server's shared part; outlives the workers.
// Home:       SYNC (one mutex, only for queries that were slow). A thread of its own parses and writes; it is started by
//             the first slow query.
// Invariants: a query's text leaves only as its form (sql/query_form.h), unless Text::kFull.
// Bounds:     kWaitingMax queries wait to be written, kPerSecond are parsed in a second; more are counted and told with
//             the next line. kKept are remembered.
// See:        docs/manual/operation.md
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/deep_thread.h"
#include "model/tenant.h"

namespace penstock::session {

struct SlowQuery {
  std::uint64_t client = 0;
  std::string tenant = {};
  std::string user = {};
  std::string database = {};
  std::string application_name = {};
  std::chrono::microseconds duration{0};  // at the server
  std::chrono::microseconds wait{0};      // for a server, before it
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;  // sent to the client
  unsigned statements = 0;  // executed in one batch; `text` is the first
  std::string text = {};    // as the client has sent it; from report() on, its form
  std::string fingerprint = {};
  model::WallTime at{};
};

class SlowLog {
 public:
  enum class Text : std::uint8_t { kForm, kFull };  // in the log; what is remembered is always the form
  static constexpr std::size_t kWaitingMax = 256;
  static constexpr std::size_t kKept = 200;
  static constexpr unsigned kPerSecond = 50;

  SlowLog() = default;
  ~SlowLog();
  SlowLog(const SlowLog&) = delete;
  SlowLog& operator=(const SlowLog&) = delete;

  // On any thread; never waits for the parser or the log.
  void report(SlowQuery query, Text text);
  // Newest first.
  std::vector<SlowQuery> recent() const;
  // Not written, because there were too many.
  std::uint64_t skipped() const;

 private:
  struct Waiting {
    SlowQuery query;
    Text text;
  };
  bool admit(std::chrono::steady_clock::time_point now);
  void run();
  void write(Waiting waiting, std::uint64_t skipped_before);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;                     // guarded by mutex_, as all below
  std::deque<SlowQuery> recent_;                    // newest last
  std::chrono::steady_clock::time_point second_{};  // that `in_second_` counts
  unsigned in_second_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t skipped_told_ = 0;
  bool ends_ = false;
  std::unique_ptr<base::DeepThread> thread_;
};

}  // namespace penstock::session
