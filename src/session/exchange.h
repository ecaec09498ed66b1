// Exchange: what a session needs between the first byte of a request and the end of its transaction.
//
// An idle client has none, and most clients are idle most of the time: without one, a session is a fifth of
// what it is otherwise.
//
// Owner:      a Session, by unique_ptr: made when the client sends something, dropped when nothing is left of it.
// Home:       LOOP
// Invariants: what a client sent before it had an upstream waits in `held`, in order, and is sent first.
// Bounds:     held: io::kUnsentHigh and one receive buffer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/chunk.h"
#include "io/timer_wheel.h"
#include "pgwire/frame_scanner.h"
#include "pgwire/sql_walk.h"
#include "pool/pool.h"
#include "session/slow_watch.h"

namespace penstock::session {

// What decides on the meaning of the client's texts besides the settings that the server has reported.
struct Meaning {
  // A SET LOCAL or the like of what the server does not report; without its text nobody else can have done the same.
  void add(std::string_view text, std::uint64_t session) {
    of_local = of_local * 31 + (text.empty() ? session : std::hash<std::string_view>{}(text));
  }

  bool changed = false;        // in this transaction, by a SET, SET LOCAL or RESET
  bool in_doubt = false;       // by one that has not been answered
  std::uint64_t of_local = 0;  // what was added in this transaction; 0: nothing
};

struct Exchange {
  Exchange(const pgwire::FrameScanner::Policy& policy, io::Timer::Callback on_timer, void* session)
      : scanner(policy), timer(on_timer, session) {}

  // Nothing of a request is here or under way.
  bool is_over() const { return held.empty() && held_cancels.empty() && scanner.at_boundary(); }

  pgwire::FrameScanner scanner;     // of the client's stream
  bool dropping = false;            // the rest of a message that is not passed on
  bool server_part_visible = true;  // the rest of a long message from the server is passed on
  bool refusal_told = false;        // of a batch that was refused before its Sync came
  bool notified = false;            // the client has been told that it waits
  bool reset_done = false;          // at least one of `resets` has succeeded
  bool reset_undone = false;        // and perhaps been rolled back since
  Meaning meaning;
  std::vector<io::Chunk> held;
  std::size_t held_bytes = 0;
  std::vector<std::string> set_again;  // of its start-up settings: those with a SET behind the last RESET
  // Names in RESETs under way; kAllSettings: RESET ALL, DISCARD ALL; "": of another than its start-up settings.
  std::vector<std::string> resets;
  // Of the client's messages that change the unnamed statement so many have not been answered; what it was before them.
  int unnamed_pending = 0;
  upstream::StatementPtr unnamed_before;
  std::vector<std::string> taken_names;  // of each Parse under way that gives a name twice
  std::vector<std::move_only_function<void()>> held_cancels;  // until what is our own has been answered
  std::unique_ptr<pgwire::SqlWalk> long_text;                 // of a message that passes in parts
  std::unique_ptr<SlowWatch> slow_watch;                      // null: slow queries are not logged
  // Under a limit per second of the tenant: the client is not read before `slowed_until`.
  base::TimePoint slowed_at{}, slowed_until{};
  bool admitted = false;      // the next request has been counted and has waited
  int requests = 0;           // still to be counted; -1: the next one has been
  base::TimePoint beat_at{};  // the last sign of life to an idle client
  base::TimePoint request_since{}, transaction_since{}, idle_transaction_since{};
  io::Timer timer;
};

}  // namespace penstock::session
