// What every session of the canned server shares: how it was configured, what it counts, and its thread's
// services.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "scram.h"

namespace penstock::bench {

enum class CannedAuth { kTrust, kMd5, kScram };
// Planted mistakes, to prove that a checker can fail.
enum class Corruption { kNone, kSwapTokens, kFlipByte, kDropRow };

struct CannedConfig {
  CannedAuth auth = CannedAuth::kTrust;
  std::string password = "bench";
  std::string salt = "penstock-bench-1";
  int iterations = 4096;
  ScramKeys keys{};            // of password, salt and iterations
  std::uint64_t delay_ns = 0;  // before each answer
  Corruption corruption = Corruption::kNone;
  std::uint64_t corrupt_every = 0;  // answers
};

struct CannedStats {
  std::uint64_t connections = 0;
  std::uint64_t queries = 0;
  std::uint64_t parses = 0;
  std::uint64_t binds = 0;
  std::uint64_t executes = 0;
  std::uint64_t answers = 0;  // counted only to plant mistakes
  std::uint64_t syncs = 0;
  std::uint64_t segments_in = 0;  // TCP segments with data, of all connections
  std::uint64_t cancels = 0;
  std::uint64_t unknown_statements = 0;  // 26000: the pooler sent a Bind for what was never parsed here
  std::uint64_t errors = 0;              // all of them
  std::uint64_t corrupted = 0;

  void add(const CannedStats& other) {
    connections += other.connections;
    queries += other.queries;
    parses += other.parses;
    binds += other.binds;
    executes += other.executes;
    answers += other.answers;
    syncs += other.syncs;
    segments_in += other.segments_in;
    cancels += other.cancels;
    unknown_statements += other.unknown_statements;
    errors += other.errors;
    corrupted += other.corrupted;
  }
};

// Owner: one thread of the canned server. Home: LOOP, but for cancel() and terminate(), which reach other
// threads.
class CannedHost {
 public:
  virtual const CannedConfig& config() const = 0;
  virtual CannedStats& stats() = 0;
  // The answer under construction; sent when the session returns.
  virtual base::ByteWriter& out() = 0;
  virtual std::uint64_t now_ns() = 0;
  virtual void cancel(std::uint32_t pid, std::uint32_t secret) = 0;
  virtual void terminate(std::uint32_t pid) = 0;
  // The token answered before this one, kept to be handed out wrongly by kSwapTokens.
  virtual std::string& previous_token() = 0;

 protected:
  ~CannedHost() = default;
};

}  // namespace penstock::bench
