// VerifierTurns remembers which of two verifiers a client was last asked for, and whether its failures mean guesses.
//
// While a password is being changed, two verifiers with different salts may be valid, and a SCRAM exchange can check one
// of them: after a failure the next attempt of that user and site gets the other one. Log-ins under way at the same time
// have the same turn, and move on once. A failure alone tells nothing, as the password may fit the other verifier; but
// one under each is a wrong password. So failures that have no counterpart yet are remembered, and no more are checked
// than wrong passwords are allowed: else all at once could guess under one of the two.
//
// Owner:      the server; the workers share it.
// Home:       SYNC (one mutex; taken only by log-ins of users with two such verifiers)
// Bounds:     kEntriesMax; the one that has not failed for longest makes room.
#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace penstock::session {

class VerifierTurns {
 public:
  static constexpr std::size_t kEntriesMax = 10'000;

  struct Source {
    std::string_view tenant;
    std::string_view user;
    std::string_view site;  // what is counted together, as LoginBans does
  };
  struct Limit {
    int failures = 0;  // 0: none
    base::Duration window{};
  };

  // For the next attempt; its lowest bit chooses the verifier.
  std::size_t turn_of(const Source& source) const;
  // Whether a proof that was asked for in this turn may be checked.
  bool may_guess(const Source& source, std::size_t turn, const Limit& limit, base::TimePoint now) const;
  // It did not fit. True: that was a wrong password.
  bool failed(const Source& source, std::size_t turn, const Limit& limit, base::TimePoint now);
  // It did: failures under the other verifier may have been the same client's.
  void succeeded(const Source& source, std::size_t turn);

  std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::size_t turn = 0;
    int unmatched =
        0;  // failures under one verifier that the other has no counterpart of; of odd turns: negative
    base::TimePoint since{};  // of the first of these
  };
  using Order = std::list<Entry>;  // not failed for longest first

  static std::string key(const Source& source);
  const Entry* find(const Source& source) const;

  mutable std::mutex mutex_;
  Order order_;  // guarded by mutex_
  std::unordered_map<std::string_view, Order::iterator>
      entries_;  // guarded by mutex_; keys are those of order_
};

}  // namespace penstock::session
