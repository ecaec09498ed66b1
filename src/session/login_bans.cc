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

std::size_t LoginBans::KeyHash::operator()(const Key& key) const {
  const std::hash<std::string_view> hash;
  return hash(key.tenant) * 31 + hash(key.site);
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
  const Order::iterator place = entry_of(tenant, site, now);
  Entry& entry = *place;
  if (entry.banned_until > now) return false;  // it had got past the door before
  if (now - entry.since > policy.window) entry.failures = 0;
  if (entry.failures++ == 0) entry.since = now;
  entry.over_at = now + policy.window;
  if (entry.failures < policy.failures) return false;
  entry.failures = 0;
  entry.banned_until = entry.over_at = now + policy.time;
  banned_.splice(banned_.end(), counted_, place);
  return true;
}

LoginBans::Doubt::Doubt(LoginBans& bans, std::string_view tenant, std::string_view address,
                        const Policy& policy, base::TimePoint now)
    : bans_(spares(address, policy) ? nullptr : &bans),
      tenant_(tenant.substr(0, kTenantBytesMax)),
      site_(site_of(address)) {
  if (bans_ == nullptr) return;
  const std::lock_guard lock(bans.mutex_);
  Entry& entry = *bans.entry_of(tenant_, site_, now);
  ++entry.doubts;
  entry.over_at = std::max(entry.over_at, now + policy.window);
}

LoginBans::Doubt::~Doubt() {
  if (bans_ == nullptr) return;
  const std::lock_guard lock(bans_->mutex_);
  const auto found = bans_->entries_.find({tenant_, site_});
  if (found == bans_->entries_.end()) return;  // it had to make room
  Entry& entry = *found->second;
  if (entry.doubts > 0) --entry.doubts;
  const bool is_counted = entry.doubts > 0 || entry.failures > 0 || entry.banned_until > base::TimePoint();
  if (!is_counted) bans_->forget(found->second);
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

const LoginBans::Entry* LoginBans::find(std::string_view tenant, std::string_view site) const {
  const auto found = entries_.find({tenant.substr(0, kTenantBytesMax), site});
  return found == entries_.end() ? nullptr : &*found->second;
}

// The one that is noted from now on; in counted_, unless it is banned.
LoginBans::Order::iterator LoginBans::entry_of(std::string_view tenant, std::string_view site,
                                               base::TimePoint now) {
  for (Order* order : {&counted_, &banned_}) {
    while (!order->empty() && order->front().over_at <= now) forget(order->begin());
  }
  tenant = tenant.substr(0, kTenantBytesMax);
  if (const auto found = entries_.find({tenant, site}); found != entries_.end()) {
    Entry& entry = *found->second;
    if (entry.banned_until > now) return found->second;
    counted_.splice(counted_.end(), order_of(entry), found->second);
    entry.banned_until = {};
    return found->second;
  }
  if (entries_.size() >= kEntriesMax) forget((counted_.empty() ? banned_ : counted_).begin());
  const auto made =
      counted_.insert(counted_.end(), {.tenant = std::string(tenant), .site = std::string(site)});
  entries_.emplace(Key{made->tenant, made->site}, made);
  publish_size();
  return made;
}

void LoginBans::forget(Order::iterator entry) {
  entries_.erase({entry->tenant, entry->site});
  order_of(*entry).erase(entry);
  publish_size();
}

std::vector<LoginBans::Ban> LoginBans::list(std::string_view tenant, base::TimePoint now) const {
  std::vector<Ban> bans;
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : banned_) {
    if (entry.tenant == tenant && entry.banned_until > now) bans.push_back({entry.site, entry.banned_until});
  }
  std::ranges::sort(bans, {}, &Ban::address);
  return bans;
}

void LoginBans::lift(std::string_view tenant, const std::vector<std::string>& addresses) {
  const std::lock_guard lock(mutex_);
  for (const std::string& address : addresses) {
    const std::string site = site_of(address.substr(0, address.find('/')));
    const auto found = entries_.find({tenant, site});
    if (found != entries_.end()) forget(found->second);
  }
}

}  // namespace penstock::session
