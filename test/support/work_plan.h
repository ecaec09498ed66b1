// WorkPlan invents what a simulated client asks next, and what the answer must be.
//
// It keeps its own model of the session (transaction, prepared statements, settings), as an application
// would.
//
// Owner:      SimClient, by value; one per connection.
// Home:       LOOP
// Invariants: the model is the state after all batches handed out so far have been answered as expected.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/token.h"

namespace penstock::sim {

// A value that cannot be known, and is not checked.
inline const std::string kUnknown = "?";

// One message that must come next.
struct Step {
  char type;                          // of the message
  std::string text = {};              // C: the tag; E: the SQLSTATE; G: unused; Z: the status
  std::vector<std::string> row = {};  // D: the values; d: the line
  std::string then_send = {};         // what to send once it has come
};

// What is sent at once and answered by one ReadyForQuery.
struct Batch {
  std::string bytes;
  std::vector<Step> steps;       // the last one is Z
  std::vector<Token> tokens;     // the requests in it that the server reports
  std::vector<bool> succeeds;    // of each token: it is executed
  std::string application_name;  // what the setting must be at the end
  bool alone = false;            // nothing may be sent behind it
  bool synced = true;            // its Sync (or Query) is among `bytes`; else it is in the last then_send
  bool slow = false;             // worth a cancel
};

struct WorkOptions {
  bool extended = true;
  bool named_statements = true;
  bool settings = true;
  bool discard = true;  // DISCARD ALL
  bool copy = true;
  bool transactions = true;
  bool listen = false;
  int rows_max = 40;
};

class WorkPlan {
 public:
  WorkPlan(std::uint32_t client, const WorkOptions& options, base::Random& random);

  // `leaving`: only what leads out of a transaction; check in_transaction() first.
  Batch next(bool leaving = false);
  bool in_transaction() const { return status_ != 'I'; }
  const std::string& startup_application_name() const { return startup_application_name_; }
  // After answers that were not as expected: what the connection really is in now.
  void forget(char status, const std::string& application_name);

 private:
  using Maker = Batch (WorkPlan::*)();

  Token new_token() { return {client_, ++last_token_}; }
  unsigned percent() { return static_cast<unsigned>(random_.below(100)); }
  int rows() { return static_cast<int>(random_.below(static_cast<std::uint64_t>(options_.rows_max) + 1)); }

  Batch control();
  Batch in_failed_transaction();
  Batch simple_rows();
  Batch simple_many();
  Batch simple_error();
  Batch simple_slow();
  Batch simple_empty();
  Batch set();
  Batch show();
  Batch discard();
  Batch notify();
  Batch copy_in();
  Batch copy_out();
  Batch pipeline();
  Batch portal_in_parts();
  Batch only_sync();
  bool add_extended(Batch& batch);
  bool add_named(Batch& batch);
  void add_wrong(Batch& batch);

  void add_ready(Batch& batch);
  void fail_here(Batch& batch, std::string_view sqlstate);
  Batch query(const std::string& text);

  const std::uint32_t client_;
  const WorkOptions options_;
  base::Random& random_;
  const std::string startup_application_name_;

  std::uint32_t last_token_ = 0;
  std::uint32_t last_name_ = 0;
  char status_ = 'I';
  int transaction_left_ = 0;
  std::string application_name_;
  std::string application_name_at_begin_;
  std::map<std::string, std::string> prepared_;  // name → tag
};

}  // namespace penstock::sim
