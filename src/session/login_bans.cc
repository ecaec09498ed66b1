#include "session/login_bans.h"

#include <algorithm>

#include "model/network.h"

namespace penstock::session {

bool LoginBans::spares(std::string_view address, const Policy& policy) {
  if (policy.failures <= 0 || address.empty()) return true;
  return std::ranges::any_of(policy.exempt, [&](const std::string& text) {
    const auto network = model::parse_network(text);
    return network && model::contains(*network, address);
  });
}

std::string LoginBans::site_of(std::string_view address) {
  const auto site = model::site_of(address);
  return site ? model::to_text(*site) : std::string();
}

std::string LoginBans::key(std::string_view tenant, std::string_view address) {
  std::string key(tenant);
  key += '\0';
  key += address;
  return key;
}

std::optional<base::TimePoint> LoginBans::banned_until(std::string_view tenant, std::string_view address,
                                                       const Policy& policy, base::TimePoint now) const {
  if (size() == 0 || policy.failures <= 0 || address.empty()) return std::nullopt;
  base::TimePoint until{};
  {
    const std::lock_guard lock(mutex_);
    const Entry* entry = find(tenant, site_of(address));
    if (entry == nullptr || entry->banned_until <= now) return std::nullopt;
    until = entry->banned_until;
  }
  // Networks may have been exempted since.
  if (spares(address, policy)) return std::nullopt;
  return until;
}

bool LoginBans::note_wrong_password(std::string_view tenant, std::string_view address, const Policy& policy,
                                    base::TimePoint now) {
  if (spares(address, policy)) return false;
  const std::string site = site_of(address);
  if (site.empty()) return false;
  const std::lock_guard lock(mutex_);
  while (!order_.empty() && order_.front().over_at <= now) forget(order_.begin());
  Entry& entry = entry_of(tenant, site);
  if (entry.banned_until > now) return false;  // it had got past the door before
  if (now - entry.since > policy.window) entry.failures = 0;
  if (entry.failures++ == 0) entry.since = now;
  entry.over_at = now + policy.window;
  if (entry.failures < policy.failures) return false;
  entry.failures = 0;
  entry.banned_until = entry.over_at = now + policy.time;
  return true;
}

LoginBans::Doubt::Doubt(LoginBans& bans, std::string_view tenant, std::string_view address,
                        const Policy& policy, base::TimePoint now)
    : bans_(spares(address, policy) ? nullptr : &bans), tenant_(tenant), site_(site_of(address)) {
  if (bans_ == nullptr) return;
  const std::lock_guard lock(bans.mutex_);
  Entry& entry = bans.entry_of(tenant_, site_);
  ++entry.doubts;
  entry.over_at = std::max(entry.over_at, now + policy.window);
}

LoginBans::Doubt::~Doubt() {
  if (bans_ == nullptr) return;
  const std::lock_guard lock(bans_->mutex_);
  Entry* entry = bans_->find(tenant_, site_);
  if (entry == nullptr || entry->doubts == 0) return;  // it had to make room
  const bool is_counted = entry->failures > 0 || entry->banned_until > base::TimePoint();
  if (--entry->doubts == 0 && !is_counted) bans_->forget(bans_->entries_.at(key(tenant_, site_)));
}

bool LoginBans::may_guess(std::string_view tenant, std::string_view address, const Policy& policy,
                          base::TimePoint now) const {
  if (size() == 0 || spares(address, policy)) return true;
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(tenant, site_of(address));
  if (entry == nullptr) return true;
  const int failures = now - entry->since > policy.window ? 0 : entry->failures;
  return entry->banned_until <= now && failures + entry->doubts < policy.failures;
}

LoginBans::Entry* LoginBans::find(std::string_view tenant, std::string_view site) const {
  const auto found = entries_.find(key(tenant, site));
  return found == entries_.end() ? nullptr : &*found->second;
}

LoginBans::Entry& LoginBans::entry_of(std::string_view tenant, std::string_view address) {
  const std::string name = key(tenant, address);
  const auto found = entries_.find(name);
  if (found != entries_.end()) {
    order_.splice(order_.end(), order_, found->second);
    return *found->second;
  }
  if (entries_.size() >= kEntriesMax) forget(order_.begin());
  order_.push_back({.tenant = std::string(tenant), .address = std::string(address)});
  entries_.emplace(name, std::prev(order_.end()));
  publish_size();
  return order_.back();
}

void LoginBans::forget(Order::iterator entry) {
  entries_.erase(key(entry->tenant, entry->address));
  order_.erase(entry);
  publish_size();
}

std::vector<LoginBans::Ban> LoginBans::list(std::string_view tenant, base::TimePoint now) const {
  std::vector<Ban> bans;
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : order_) {
    if (entry.tenant == tenant && entry.banned_until > now)
      bans.push_back({entry.address, entry.banned_until});
  }
  std::ranges::sort(bans, {}, &Ban::address);
  return bans;
}

void LoginBans::lift(std::string_view tenant, const std::vector<std::string>& addresses) {
  const std::lock_guard lock(mutex_);
  for (const std::string& address : addresses) {
    const auto found = entries_.find(key(tenant, site_of(address.substr(0, address.find('/')))));
    if (found != entries_.end()) forget(found->second);
  }
}

}  // namespace penstock::session
