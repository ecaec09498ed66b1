#include "session/verifier_turns.h"

#include <algorithm>

namespace penstock::session {

namespace {

// Towards which side failures of this turn count.
int side_of(std::size_t turn) {
  return turn % 2 == 0 ? 1 : -1;
}

}  // namespace

std::string VerifierTurns::key(const Source& source) {
  std::string key(source.tenant);
  for (const std::string_view part : {source.user, source.site}) {
    key += '\0';
    key += part;
  }
  return key;
}

const VerifierTurns::Entry* VerifierTurns::find(const Source& source) const {
  const auto found = entries_.find(key(source));
  return found == entries_.end() ? nullptr : &*found->second;
}

std::size_t VerifierTurns::turn_of(const Source& source) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(source);
  return entry == nullptr ? 0 : entry->turn;
}

bool VerifierTurns::may_guess(const Source& source, std::size_t turn, const Limit& limit,
                              base::TimePoint now) const {
  if (limit.failures <= 0) return true;
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(source);
  if (entry == nullptr || now - entry->since > limit.window) return true;
  return entry->unmatched * side_of(turn) < limit.failures;
}

bool VerifierTurns::failed(const Source& source, std::size_t turn, const Limit& limit, base::TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::string name = key(source);
  if (const auto found = entries_.find(name); found != entries_.end()) {
    order_.splice(order_.end(), order_, found->second);
  } else {
    if (entries_.size() >= kEntriesMax) {
      entries_.erase(order_.front().key);
      order_.pop_front();
    }
    order_.push_back({.key = std::move(name)});
    entries_.emplace(order_.back().key, std::prev(order_.end()));
  }
  Entry& entry = order_.back();
  if (entry.turn == turn) ++entry.turn;
  if (limit.failures <= 0) return false;
  const int side = side_of(turn);
  if (now - entry.since > limit.window) entry.unmatched = 0;
  if (entry.unmatched == 0) entry.since = now;
  const bool has_counterpart = entry.unmatched * side < 0;
  // What is beyond the limit has not been checked.
  entry.unmatched = std::clamp(entry.unmatched + side, -limit.failures, limit.failures);
  return has_counterpart;
}

void VerifierTurns::succeeded(const Source& source, std::size_t turn) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key(source));
  if (found == entries_.end()) return;
  int& unmatched = found->second->unmatched;
  if (unmatched * side_of(turn) < 0) unmatched = 0;
}

std::size_t VerifierTurns::size() const {
  const std::lock_guard lock(mutex_);
  return order_.size();
}

}  // namespace penstock::session
