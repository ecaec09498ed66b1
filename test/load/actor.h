// Actor is one client of the load test: it lives through random actions until told to stop, and remembers
// what is true for it.
//
// Owner:      main(), by unique_ptr.
// Home:       LOOP
// Invariants: 1. What it may expect of the database (settings, its row) changes only where an answer says so;
//                after a lost COMMIT both outcomes are possible until the next look.
// See:        docs/internals/benchmarks.md
#pragma once

#include <cstdint>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "peer.h"

namespace penstock::load {

class Actor {
 public:
  Actor(LoadLoop& loop, const LoadPlan& plan, Tally& tally, bench::ScramKeyCache& keys, std::uint32_t number);
  void start();

  struct Action {
    std::string_view name;
    unsigned weight;
    Task<Outcome> (Actor::*act)();
    bool needs_postgres;  // the canned server cannot do it
  };
  static std::span<const Action> all_actions();

 private:
  Task<> live();
  Task<bool> ensure_open();
  Task<> perform(const Action& action);
  const Action& pick();
  void judge(const Action& action, Outcome outcome);
  // Out of a failed transaction.
  Task<> recover();
  void forget_connection();

  Task<Outcome> simple();
  Task<Outcome> several_statements();
  Task<Outcome> failing_statement();
  Task<Outcome> many_rows();
  Task<Outcome> one_big_row();
  Task<Outcome> slow_reader();
  Task<Outcome> unnamed();
  Task<Outcome> prepared();
  Task<Outcome> forget_statement();
  Task<Outcome> pipeline();
  Task<Outcome> failing_pipeline();
  Task<Outcome> syncs_in_one_write();
  Task<Outcome> flush_without_sync();
  Task<Outcome> portal_in_parts();
  Task<Outcome> transaction();
  Task<Outcome> change_setting();
  Task<Outcome> setting_rolled_back();
  Task<Outcome> account();
  Task<Outcome> look_at_account(char status);
  Task<Outcome> copy();
  Task<Outcome> begin_copy();
  Task<Outcome> cancelled_query();
  Task<Outcome> leave_mid_query();
  Task<Outcome> leave_mid_result();
  Task<Outcome> leave_mid_transaction();
  Task<Outcome> leave_mid_copy();
  Task<Outcome> leave_mid_message();
  Task<Outcome> reconnect();

  std::string token();
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }
  std::string statement(Script& script);  // the name of a named statement, parsed in `script` if it is new
  void bind_and_execute(Script& script, std::string_view statement, std::string_view value, bool describe);
  Peer::Parameters parameters() const;

  LoadLoop& loop_;
  const LoadPlan& plan_;
  Tally& tally_;
  std::uint32_t number_;
  std::uint32_t serial_ = 0;
  std::mt19937_64 random_;
  Peer peer_;
  Task<> life_;
  std::vector<const Action*> deck_;  // each action as often as its weight says
  std::string application_name_;
  std::string time_zone_ = "Etc/UTC";
  std::set<unsigned> parsed_;                    // named statements this connection has
  std::vector<std::string> account_ = {"none"};  // what its row may hold
  Clock::time_point cancelled_at_{};             // the last cancel may still hit until a moment later
};

}  // namespace penstock::load
