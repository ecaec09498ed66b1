#include "telemetry/pool_counters.h"

#include <algorithm>
#include <iterator>

namespace penstock::telemetry {

namespace {

// PostgreSQL manual, appendix A.
constexpr std::array<std::string_view, kErrorClasses> kClasses = {
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22",
    "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F",
    "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX", "ZZ", "other"};

constexpr std::array<std::string_view, static_cast<std::size_t>(PinReason::kCount)> kPinWords = {
    "statement", "state", "listen", "advisory_lock", "temporary_table", "cursor", "other"};

}  // namespace

std::string_view word_of(PinReason reason) {
  return kPinWords[static_cast<std::size_t>(reason)];
}

PinReason pin_reason_of(std::string_view words) {
  if (words == "large prepared statement" || words == "PREPARE") return PinReason::kStatement;
  if (words == "LISTEN") return PinReason::kListen;
  if (words == "temporary table") return PinReason::kTemporary;
  if (words == "LOAD" || words.starts_with("SET ")) return PinReason::kState;
  return PinReason::kOther;
}

std::size_t error_class_of(std::string_view sqlstate) {
  const auto end = kClasses.end() - 1;
  return static_cast<std::size_t>(std::find(kClasses.begin(), end, sqlstate.substr(0, 2)) - kClasses.begin());
}

std::string_view error_class_word(std::size_t index) {
  return kClasses[index];
}

void PoolCounters::add(const PoolCounters& other) {
  counts.add(other.counts);
  pins.add(other.pins);
  for (std::size_t i = 0; i < errors.size(); ++i) errors[i].add(other.errors[i].read());
  clients.add(other.clients.read());
  checkout.add(other.checkout);
  query.add(other.query);
}

std::shared_ptr<PoolCounters> PoolCounterTable::find(const PoolLabels& labels, unsigned worker) {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(Key(labels, worker));
  return found == entries_.end() ? nullptr : use(found->second);
}

std::shared_ptr<PoolCounters> PoolCounterTable::find_or_make(const PoolLabels& labels, unsigned worker) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = entries_.find(Key(labels, worker)); found != entries_.end())
    return use(found->second);
  // A tenant alone may take half of all, the next one half of the rest, and so on: there is room for whoever comes.
  const auto taken = taken_.find(labels.tenant);
  const bool has_its_share = taken != taken_.end() && taken->second >= pools_max_ - entries_.size();
  if (!is_full() && !has_its_share) return make(labels, worker);
  ++overflow_;
  return nullptr;
}

std::shared_ptr<PoolCounters> PoolCounterTable::others_of(const std::string& tenant, unsigned worker) {
  const std::scoped_lock lock(mutex_);
  const PoolLabels own{tenant, "_other", "_other"};
  // Once one worker has a place for them, all have: whoever asks where they are finds them together.
  const auto first = entries_.lower_bound(Key(own, 0));
  const bool has_place = !is_full() || (first != entries_.end() && first->first.first == own);
  return make(has_place ? own : PoolLabels{"_other", "_other", "_other"}, worker);
}

std::shared_ptr<PoolCounters> PoolCounterTable::make(const PoolLabels& labels, unsigned worker) {
  const auto [entry, is_new] = entries_.try_emplace(Key(labels, worker));
  if (is_new) {
    entry->second.counters = std::make_shared<PoolCounters>();
    ++taken_[labels.tenant];
  }
  return use(entry->second);
}

std::shared_ptr<PoolCounters> PoolCounterTable::use(Entry& entry) {
  entry.last_used = Clock::now();
  return entry.counters;
}

std::vector<PoolCounterTable::Found> PoolCounterTable::next_part(const Key* behind, Clock::time_point now) {
  std::vector<Found> part;
  part.reserve(kPart);
  const std::scoped_lock lock(mutex_);
  auto entry = behind == nullptr ? entries_.begin() : entries_.upper_bound(*behind);
  while (entry != entries_.end() && part.size() < kPart) {
    // All workers' sets of these labels stay or go together: without one of them the sum would be smaller than before.
    const auto first = entry;
    Clock::time_point last_used{};
    for (; entry != entries_.end() && entry->first.first == first->first.first; ++entry) {
      if (entry->second.counters.use_count() > 1) entry->second.last_used = now;
      last_used = std::max(last_used, entry->second.last_used);
    }
    if (now - last_used > kKept) {
      const auto taken = taken_.find(first->first.first.tenant);
      taken->second -= static_cast<std::size_t>(std::distance(first, entry));
      if (taken->second == 0) taken_.erase(taken);
      entries_.erase(first, entry);
      continue;
    }
    for (auto kept = first; kept != entry; ++kept) part.emplace_back(kept->first, kept->second.counters);
  }
  return part;
}

bool PoolCounterTable::Walk::step(const std::function<void(const PoolLabels&, const PoolCounters&)>& visit,
                                  Clock::time_point now) {
  const std::vector<Found> part = table_.next_part(last_ ? &*last_ : nullptr, now);
  if (part.empty()) return false;
  for (const auto& [key, counters] : part) visit(key.first, *counters);
  last_ = part.back().first;
  return true;
}

std::uint64_t PoolCounterTable::overflow() const {
  const std::scoped_lock lock(mutex_);
  return overflow_;
}

}  // namespace penstock::telemetry
