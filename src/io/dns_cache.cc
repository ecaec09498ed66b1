#include "io/dns_cache.h"

#include <algorithm>

namespace penstock::io {

const DnsAnswer* DnsCache::find(std::string_view name, base::TimePoint now) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end() || found->second->expires <= now) return nullptr;
  entries_.splice(entries_.end(), entries_, found->second);
  return &found->second->answer;
}

bool DnsCache::is_usable(const Entry& entry, base::TimePoint now) {
  return entry.answer.kind == DnsAnswer::Kind::kFound && entry.stale_until > now;
}

bool DnsCache::may_serve_stale(std::string_view name, base::TimePoint now) const {
  const auto known = by_name_.find(name);
  return known != by_name_.end() && is_usable(*known->second, now);
}

const DnsAnswer& DnsCache::store(std::string_view name, const DnsAnswer& answer, base::TimePoint now) {
  const auto known = by_name_.find(name);
  if (answer.kind == DnsAnswer::Kind::kTrouble) {
    if (known == by_name_.end() || !is_usable(*known->second, now)) return answer;
    Entry& entry = *known->second;
    entry.expires = std::max(entry.expires, std::min(now + options_.stale_retry, entry.stale_until));
    return entry.answer;
  }
  if (known != by_name_.end()) drop(known->second);
  if (options_.entries_max == 0) return answer;
  if (entries_.size() >= options_.entries_max) drop(entries_.begin());

  const auto ttl =
      answer.kind == DnsAnswer::Kind::kNoName
          ? options_.negative_ttl
          : std::clamp(answer.ttl, std::min(options_.ttl_min, options_.ttl_max), options_.ttl_max);
  const auto entry =
      entries_.insert(entries_.end(), {std::string(name), answer, now + ttl, now + ttl + options_.stale_max});
  by_name_.emplace(entry->name, entry);
  return entry->answer;
}

void DnsCache::drop(Entries::iterator entry) {
  by_name_.erase(entry->name);
  entries_.erase(entry);
}

}  // namespace penstock::io
