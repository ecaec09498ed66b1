// How many upstreams a pool may have, and what it gives up for others who share a limit with it.
#include <algorithm>

#include "pool/janitor.h"
#include "pool/pool.h"
#include "pool/pool_dial.h"

namespace penstock::pool {

namespace {

// For so long a pool that gave up an upstream opens none: the other pool looks every 20 ms.
constexpr base::Duration kDebtRest = std::chrono::milliseconds(50);
// A wish for room that has not been repeated for so long is over.
constexpr base::Duration kDebtLife = std::chrono::milliseconds(200);
// New connections of one second are of one server process: one of them asks how many there may be.
constexpr base::Duration kMeasureAgain = std::chrono::seconds(1);

std::string hosts_text(const upstream::DialPlan& plan) {
  std::string text;
  for (const model::HostPort& target : plan.hosts)
    text += target.host + ':' + std::to_string(target.port) + ' ';
  return text;
}

std::int64_t ticks(base::TimePoint time) {
  return time.time_since_epoch().count();
}

}  // namespace

void Pool::follow_plan() {
  const std::string hosts = hosts_text(*config_->plan);
  pace_ = home_.ledger.pace(hosts);
  capacity_ = home_.ledger.capacity(hosts);
}

void Pool::follow_terms() {
  stake_->set_terms({.places = config_->max_upstreams_of_tenant,
                     .guaranteed_all = config_->guaranteed_of_tenant,
                     .guaranteed = config_->guaranteed_of_user});
}

int Pool::size() const {
  const int all = config_->size_percent > 0 ? capacity_->connections.load(std::memory_order_relaxed) : 0;
  if (all <= 0) return config_->size;
  return std::max(1, static_cast<int>(std::int64_t{all} * config_->size_percent / 100));
}

// The figure changes only when the server restarts, and then all connections are new.
bool Pool::must_measure() {
  if (config_->size_percent <= 0) return false;
  const std::int64_t now = ticks(home_.tools.loop.now());
  std::int64_t asked = capacity_->asked_at.load(std::memory_order_relaxed);
  if (asked != 0 && now - asked < kMeasureAgain.count()) return false;
  return capacity_->asked_at.compare_exchange_strong(asked, now, std::memory_order_relaxed);
}

// Connections beyond what the pool may have: its size has been lowered.
int Pool::surplus() const {
  const int most = size();
  if (most <= 0) return 0;
  return scopes_->front()->open.load(std::memory_order_relaxed) - most - config_->reserve_size;
}

// --- for others ---

// Another pool is held up by a limit that counts our upstreams too: give one up if it is idle.
// The same pool on another worker gets upstreams as they are.
bool Pool::may_yield(const RoomWish& wish) const {
  if (wish.asker == hub_) return false;
  const bool ours = std::ranges::find(*scopes_, wish.scope) != scopes_->end();
  return ours && (waiters_.empty() || wish.since < waiters_.front().waiting_since);
}

bool Pool::yield_idle(const RoomWish& wish) {
  if (idle_.empty()) return false;
  const bool shared = wish.scope == (*scopes_)[kTenantScope];
  const bool gives =
      shared ? stake_->yields_idle(idle_.back().released_at, home_.tools.loop.now()) : may_yield(wish);
  if (!gives) return false;
  bury(idle_.back());
  return true;
}

bool Pool::yield_next(const RoomWish& wish) {
  // What a tenant's users share is given up when the share asks for it.
  const bool shared = wish.scope == (*scopes_)[kTenantScope];
  if (shared || upstreams_.empty() || !may_yield(wish)) return false;
  owed_since_ = wish.since;
  owed_until_ = home_.tools.loop.now() + kDebtLife;
  return true;
}

// Room was asked for: whether the client it is for has waited longer than those here.
bool Pool::pay_debt() {
  if (!owed_since_.has_value()) return false;
  const base::TimePoint since = *std::exchange(owed_since_, std::nullopt);
  const base::TimePoint now = home_.tools.loop.now();
  const bool own_first = !waiters_.empty() && waiters_.front().waiting_since <= since;
  if (own_first || now > owed_until_) return false;
  // Not to be taken again before the other pool has looked.
  no_dial_before_ = std::max(no_dial_before_, now + kDebtRest);
  return true;
}

// --- what the tenant's clients may do in a second ---

void Pool::follow_meters(const PoolConfig* before) {
  metered_ = config_->queries_per_second > 0 || config_->bytes_per_second > 0;
  const bool same = before != nullptr && before->queries_per_second == config_->queries_per_second &&
                    before->bytes_per_second == config_->bytes_per_second;
  if (!same) metered_since_ = home_.tools.loop.now();
}

std::optional<base::TimePoint> Pool::admit_query(base::TimePoint latest) {
  return meters_->queries.charge(home_.tools.loop.now(), 1, config_->queries_per_second, latest);
}

base::TimePoint Pool::charge(int queries, std::size_t bytes) {
  const base::TimePoint now = home_.tools.loop.now();
  base::TimePoint when = now;
  if (queries > 0) when = meters_->queries.charge(now, queries, config_->queries_per_second);
  return std::max(when,
                  meters_->bytes.charge(now, static_cast<std::int64_t>(bytes), config_->bytes_per_second));
}

}  // namespace penstock::pool
