// How many upstreams a pool may have, and what it gives up for others who share a limit with it.
#include <algorithm>

#include "pool/janitor.h"
#include "pool/pool.h"
#include "pool/pool_dial.h"

namespace penstock::pool {

namespace {

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

Pool::Limits Pool::limits(int size) const {
  return {size, config_->max_upstreams_of_tenant, config_->max_upstreams_of_user,
          config_->max_upstreams_of_database, config_->max_upstreams_of_process};
}

// Connections beyond what there may be: a limit has been lowered.
int Pool::surplus() const {
  const int most = size();
  const Limits all = limits(most > 0 ? most + config_->reserve_size : 0);
  const auto beyond = [&](std::size_t i) {
    return all[i] > 0 ? (*scopes_)[i]->open.load(std::memory_order_relaxed) - all[i] : 0;
  };
  // What a tenant has is its share's affair: its scope also counts who is about to be told no.
  return std::max({stake_->surplus(), beyond(kPoolScope), beyond(kUserScope), beyond(kDatabaseScope),
                   beyond(kProcessScope)});
}

// --- for others ---

// Whether a connection that has just come back is to be closed for another pool whose client has waited longer.
bool Pool::gives_way() {
  Arrival oldest;
  if (!waiters_.empty()) oldest = waiters_.front().waiting_since;
  if (stake_->line.claims(hub_.get(), oldest)) return true;
  return std::ranges::any_of(std::initializer_list<std::size_t>{kUserScope, kDatabaseScope, kProcessScope},
                             [&](std::size_t i) { return (*scopes_)[i]->line.claims(hub_.get(), oldest); });
}

bool Pool::yield_idle(const ScopePtr& scope) {
  if (idle_.empty() || std::ranges::find(*scopes_, scope) == scopes_->end()) return false;
  // What the tenant's users share is given up when the share asks for it, or for another pool of the same user.
  const bool is_shared = scope == (*scopes_)[kTenantScope];
  RoomLine& line = is_shared ? stake_->line : scope->line;
  const bool gives = line.claims(hub_.get(), std::nullopt) ||
                     (is_shared && stake_->yields_idle(idle_.back().released_at, home_.tools.loop.now()));
  if (gives) bury(idle_.back());
  return gives;
}

// Takes a place in all scopes, or names the one that holds it up.
ScopePtr Pool::full_scope(const Limits& limits, Arrival since, Reservation& taken) {
  for (const std::size_t i : {kUserScope, kDatabaseScope, kProcessScope}) {
    if (!(*scopes_)[i]->line.lets(ticket_, since)) return (*scopes_)[i];
  }
  const Scope* full = nullptr;
  // What the tenant's users share is the share's affair.
  taken = Reservation::take(
      scopes_, {limits[kPoolScope], 0, limits[kUserScope], limits[kDatabaseScope], limits[kProcessScope]},
      &full);
  const auto found =
      std::ranges::find_if(*scopes_, [&](const ScopePtr& scope) { return scope.get() == full; });
  return found == scopes_->end() ? nullptr : *found;
}

// True: look once more whether there is room.
bool Pool::stand_in_line(const ScopePtr& scope, Arrival since) {
  if (!since.has_value()) return false;
  keeps_ticket_ = true;
  const bool look_again = ticket_.stand(scope->line, *since);
  if (home_.make_room && (look_again || scope->line.is_first(ticket_))) home_.make_room(scope);
  return look_again;
}

// Where there is more room than the place that was taken.
void Pool::call_others(const Limits& limits) {
  for (const std::size_t i : {kUserScope, kDatabaseScope, kProcessScope}) {
    Scope& scope = *(*scopes_)[i];
    if (limits[i] <= 0 || scope.open.load(std::memory_order_relaxed) < limits[i]) scope.line.call_next();
  }
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
