// PoolCounters: what one worker counts about one pool (tenant, user, database), and the table that finds all of them.
//
// Owner:      Pool and PoolCounterTable, shared; the table keeps those of a pool that has ended for kKept, so that
//             what it counted last is still seen.
// Home:       counters: writing LOOP, reading any thread. The table: SYNC (one mutex, at the start of a pool and at a
//             scrape only, which takes it for a few pools at a time: no worker waits until all are written down).
// Bounds:     `pools_max` sets of counters, of which a tenant takes no more than it leaves to the others; its pools beyond
//             share one with the labels tenant, "_other", "_other", and when all are taken, "_other" three times.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "telemetry/counters.h"
#include "telemetry/histogram.h"

namespace penstock::telemetry {

enum class PoolCount : std::uint8_t {
  kQueries,
  kTransactions,
  kBytesFromClients,
  kBytesToClients,
  kCheckouts,
  kLogins,
  kPreparedHits,
  kPreparedMisses,
  kConnects,
  kConnectFailures,
  kSlowQueries,
  kCount
};

// Why a client keeps its server.
enum class PinReason : std::uint8_t {
  kStatement,
  kState,
  kListen,
  kLock,
  kTemporary,
  kCursor,
  kOther,
  kCount
};
std::string_view word_of(PinReason reason);
// By the words that the log says it with.
PinReason pin_reason_of(std::string_view words);

// Classes of SQLSTATE that have a counter of their own, in order; all others are "other".
inline constexpr std::size_t kErrorClasses = 45;
std::size_t error_class_of(std::string_view sqlstate);
std::string_view error_class_word(std::size_t index);

struct PoolCounters {
  CounterSet<PoolCount> counts;
  CounterSet<PinReason> pins;
  std::array<Counter, kErrorClasses> errors;
  Gauge clients;  // logged in
  Histogram checkout;
  Histogram query;

  // By their writer.
  void add(const PoolCounters& other);
};

struct PoolLabels {
  std::string tenant;
  std::string user;
  std::string database;
  friend auto operator<=>(const PoolLabels&, const PoolLabels&) = default;
};

class PoolCounterTable {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kKept{15};
  explicit PoolCounterTable(std::size_t pools_max) : pools_max_(pools_max) {}

  // Null: there are none with these labels.
  std::shared_ptr<PoolCounters> find(const PoolLabels& labels, unsigned worker);
  // Null: there is no room for more.
  std::shared_ptr<PoolCounters> find_or_make(const PoolLabels& labels, unsigned worker);
  // For what belongs to a tenant, but to none of the pools that are told apart.
  std::shared_ptr<PoolCounters> others_of(const std::string& tenant, unsigned worker);
  // Goes through all in the order of labels, part by part; equal labels (several workers) follow each other. Pools may
  // come meanwhile.
  class Walk;
  std::uint64_t overflow() const;

 private:
  struct Entry {
    std::shared_ptr<PoolCounters> counters;
    Clock::time_point last_used;
  };
  using Key = std::pair<PoolLabels, unsigned>;  // of a pool and a worker
  using Found = std::pair<Key, std::shared_ptr<PoolCounters>>;
  static constexpr std::size_t kPart = 256;
  // Those behind this key, at most kPart and the other workers' of the last labels.
  std::vector<Found> next_part(const Key* behind, Clock::time_point now);

  // Under the mutex.
  std::shared_ptr<PoolCounters> use(Entry& entry);
  std::shared_ptr<PoolCounters> make(const PoolLabels& labels, unsigned worker);
  bool is_full() const { return entries_.size() >= pools_max_; }

  const std::size_t pools_max_;
  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;              // guarded by mutex_, as all below
  std::map<std::string, std::size_t> taken_;  // of entries_, by tenant
  std::uint64_t overflow_ = 0;
};

class PoolCounterTable::Walk {
 public:
  explicit Walk(PoolCounterTable& table) : table_(table) {}
  // Visits the next part. False: there was none.
  bool step(const std::function<void(const PoolLabels&, const PoolCounters&)>& visit, Clock::time_point now);

 private:
  PoolCounterTable& table_;
  std::optional<Key> last_;
};

}  // namespace penstock::telemetry
