// Checkers judge a simulated run from what clients and servers saw, knowing nothing of the code between them.
//
// Each rule is a class of its own that reports to one Verdict; Checkers holds one of each.
//
// Owner:      a scenario, by value.
// Home:       LOOP
// Bounds:     the Verdict keeps the first kViolationsMax.
// See:        docs/internals/simulation.md
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "support/token.h"

namespace penstock::sim {

// What was broken. The names are what planted bugs are matched with.
enum class Rule : std::uint8_t {
  kCrossTalk,       // bytes of one client reached another
  kOneEnding,       // a request ended twice, never, or out of turn
  kAtMostOnce,      // the server did the same request twice
  kAnsweredIsDone,  // a success was reported that the server knows nothing of
  kWrongAnswer,     // the answer is not what this request must get
  kTransaction,     // two clients inside one transaction
  kClientOrder,     // one client's requests reached servers out of order
  kCancelFence,     // a cancel hit a query whose client had neither asked for it nor gone
  kLimit,           // more connections than allowed
  kWaiterOrder,     // a later waiter was served first
  kServerProtocol,  // a server was sent something senseless
  kRecovery,        // after the faults stopped, clients still could not work
  kDrain,           // after everyone left, something stayed
};
std::string to_string(Rule rule);

class Verdict {
 public:
  void violate(Rule rule, std::string text);
  bool clean() const { return count_ == 0; }
  bool has(Rule rule) const { return rules_.contains(rule); }
  std::string to_string() const;

 private:
  static constexpr std::size_t kViolationsMax = 8;
  std::size_t count_ = 0;
  std::set<Rule> rules_;
  std::vector<std::string> texts_;
};

// Every request has exactly one ending, and servers do it at most once.
class RequestChecker {
 public:
  explicit RequestChecker(Verdict& verdict) : verdict_(verdict) {}
  enum class Ending : std::uint8_t { kNone, kAnswered, kFailed, kCut };

  void asked(Token token);
  void ended(Token token, Ending ending);
  void executed(Token token);
  // All who asked have gone: who has no ending?
  void check_all_ended();
  std::size_t count(Ending ending) const;

 private:
  struct Request {
    Ending ending = Ending::kNone;
    int executions = 0;
  };
  Verdict& verdict_;
  std::map<Token, Request> requests_;
};

// Inside one transaction of one server connection, only one client speaks; and each client in its own order.
class IsolationChecker {
 public:
  explicit IsolationChecker(Verdict& verdict) : verdict_(verdict) {}
  // `continues`: the backend was inside a transaction (or a pipeline without its Sync) before this.
  void executed(Token token, std::uint32_t backend, bool continues);
  void backend_gone(std::uint32_t backend) { last_of_backend_.erase(backend); }

 private:
  Verdict& verdict_;
  std::map<std::uint32_t, std::uint32_t> last_of_backend_;  // the client
  std::map<std::uint32_t, std::uint32_t> last_of_client_;   // the token's number
};

// A cancel reaches only what the client that asked for it is doing, or what a client did that is lost.
// Whoever is in between may hear of a loss before the client itself.
class CancelChecker {
 public:
  explicit CancelChecker(Verdict& verdict) : verdict_(verdict) {}
  void asked_for(std::uint32_t client) { wanted_.insert(client); }
  void hit(Token token);
  // Its client's connection ended before the answer.
  void lost(Token token);
  // All losses are known: which hits are still without a reason?
  void check_all_hits();

 private:
  Verdict& verdict_;
  std::set<std::uint32_t> wanted_;
  std::set<Token> unexplained_;
};

// No more connections than allowed, per name of a limit.
class LimitChecker {
 public:
  explicit LimitChecker(Verdict& verdict) : verdict_(verdict) {}
  void allow(const std::string& name, int most) { limits_[name].most = most; }
  void opened(const std::string& name);
  void closed(const std::string& name) { --limits_[name].open; }
  int open(const std::string& name) { return limits_[name].open; }

 private:
  struct Limit {
    int open = 0;
    int most = INT32_MAX;
  };
  Verdict& verdict_;
  std::map<std::string, Limit> limits_;
};

// Who came first is served first. Times are seen from outside, so `slack` is what the network may have
// changed.
class WaiterOrderChecker {
 public:
  explicit WaiterOrderChecker(Verdict& verdict) : verdict_(verdict) {}
  void enable(base::Duration slack) {
    enabled_ = true;
    slack_ = slack;
  }
  void disable() { enabled_ = false; }
  // A request that needs a server of its own left its client.
  void sent(Token token, base::TimePoint at);
  // It reached a server.
  void served(Token token, base::TimePoint at);
  // It never will.
  void gone(Token token) { waiting_.erase(token); }

 private:
  Verdict& verdict_;
  bool enabled_ = false;
  base::Duration slack_{0};
  struct Served {
    Token token;
    base::TimePoint sent;
    base::TimePoint at;
  };
  std::map<Token, base::TimePoint> waiting_;
  std::deque<Served> served_;  // the last ones
};

struct Checkers {
  std::uint32_t clients_ever = 0;  // connections of simulated clients; each one is a client of its own here
  Verdict verdict;
  RequestChecker requests{verdict};
  IsolationChecker isolation{verdict};
  CancelChecker cancels{verdict};
  LimitChecker limits{verdict};
  WaiterOrderChecker waiters{verdict};
};

}  // namespace penstock::sim
