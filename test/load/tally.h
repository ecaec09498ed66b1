// Tally: what a load test was told to do, and what it saw. Options and counts of one run.
//
// Home: LOOP
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "endpoint.h"

namespace penstock::load {

struct LoadPlan {
  bench::Endpoint target;
  std::optional<bench::Endpoint> admin;  // Postgres itself, to kill connections; none: no kills
  unsigned clients = 100;
  double seconds = 10;
  std::uint64_t seed = 1;
  std::chrono::milliseconds kill_every{250};
  std::chrono::milliseconds think{200};  // at most, between two actions of a client
  std::chrono::seconds stuck_after{60};  // no answer for so long is a violation
  std::string user = "bench";
  std::string password = "bench";
  std::string database = "bench";
  std::set<std::string> actions;  // empty: all
  std::set<std::string> tolerated = {"57P01", "08006", "08003",
                                     "08000"};  // what a killed server may look like
};

struct ActionCount {
  std::uint64_t good = 0;
  std::uint64_t failed = 0;  // an error that may happen
  std::uint64_t lost = 0;    // the connection ended
};

struct Tally {
  std::map<std::string, ActionCount, std::less<>> actions;
  std::map<std::string, std::uint64_t, std::less<>> errors;  // by SQLSTATE
  std::uint64_t connects = 0;
  std::uint64_t connects_failed = 0;
  std::uint64_t kills = 0;
  std::uint64_t cancels = 0;
  std::uint64_t cancels_hit = 0;
  std::uint64_t exchanges = 0;
  std::uint64_t late_errors = 0;  // told to clients that had nothing outstanding
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t violations = 0;
  std::vector<std::string> first_violations;
  bool stopping = false;
  unsigned running = 0;  // clients that have not yet said goodbye

  void violation(std::string what) {
    ++violations;
    if (first_violations.size() < 20) first_violations.push_back(std::move(what));
  }
};

std::string to_json(const Tally& tally);

}  // namespace penstock::load
