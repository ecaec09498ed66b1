// VerifierTurns remembers which of two verifiers a client was last asked for.
//
// While a password is being changed, two verifiers with different salts may be valid, and a SCRAM exchange can check one
// of them: after a failure the next attempt of that user and address gets the other one.
//
// Owner:      the server; the workers share it.
// Home:       SYNC (one mutex; taken only by log-ins of users with two such verifiers)
// Bounds:     kEntriesMax; then it begins anew.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

namespace penstock::session {

class VerifierTurns {
 public:
  static constexpr std::size_t kEntriesMax = 10'000;

  std::size_t turn_of(const std::string& who) const {
    const std::lock_guard lock(mutex_);
    const auto found = turns_.find(who);
    return found == turns_.end() ? 0 : found->second.turn;
  }
  // The next attempt gets the next one. Tells how many attempts have failed one after the other.
  std::size_t failed(const std::string& who) {
    const std::lock_guard lock(mutex_);
    if (turns_.size() >= kEntriesMax) turns_.clear();
    Entry& entry = turns_[who];
    ++entry.turn;
    return ++entry.failures;
  }
  void succeeded(const std::string& who) {
    const std::lock_guard lock(mutex_);
    if (const auto found = turns_.find(who); found != turns_.end()) found->second.failures = 0;
  }

 private:
  struct Entry {
    std::size_t turn = 0;
    std::size_t failures = 0;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> turns_;  // guarded by mutex_
};

}  // namespace penstock::session
