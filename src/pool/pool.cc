#include "pool/pool.h"

#include <algorithm>
#include <cstdlib>

#include "base/utf8.h"
#include "pool/janitor.h"
#include "pool/pool_dial.h"

namespace penstock::pool {

namespace {

// How many idle upstreams are looked at for one that already has a client's settings.
constexpr int kSettingsSearchMax = 16;
// How much older another worker's waiter must be before an upstream moves there: moving costs as much as some
// queries.
constexpr std::int64_t kMoveAdvantageNs = 5'000'000;
constexpr std::size_t kOutcomesMax = 1000;
constexpr base::Duration kMaintenanceEvery = std::chrono::seconds(1);

std::int64_t ticks(base::TimePoint time) {
  return time.time_since_epoch().count();
}

}  // namespace

Pool::Pool(PoolHome home, std::string key, PoolConfigPtr config, std::shared_ptr<PoolHub> hub)
    : home_(std::move(home)),
      key_(std::move(key)),
      config_(std::move(config)),
      hub_(std::move(hub)),
      counters_(home_.counters == nullptr ? nullptr : home_.counters->find(labels(), home_.worker)),
      counted_(counters_ == nullptr ? Counted::kNotYet : Counted::kByName),
      ticket_(hub_.get(),
              [hub = hub_, me = home_.worker] {
                PoolHub::tell(hub, me, [](Pool* pool) {
                  if (pool == nullptr) return;
                  pool->share_again_at_ = {};
                  pool->want_more();
                });
              }),
      retry_timer_(io::Timer::calling<&Pool::want_more>(this)),
      maintenance_timer_(io::Timer::calling<&Pool::maintain>(this)) {
  if (counters_ == nullptr) counters_ = std::make_shared<telemetry::PoolCounters>();
  Ledger& ledger = home_.ledger;
  scopes_ =
      ledger.scopes({upstreams_of_pool(key_), upstreams_of_tenant(config_->tenant),
                     "upstreams of user " + config_->tenant + "/" + config_->user,
                     "upstreams of database " + config_->tenant + "/" + config_->database, "upstreams"});
  queue_ = ledger.scopes({"queue of pool " + key_});
  follow_plan();
  stake_ = ledger.stake(config_->tenant, config_->user);
  follow_terms();
  meters_ = ledger.meters(config_->tenant);
  follow_meters(nullptr);
  hub_->sit_down(home_.worker, *this, home_.tools.loop);
  plan_maintenance();
}

Pool::~Pool() {
  PoolHub::Seat& seat = hub_->seat(home_.worker);
  seat.shard.store(nullptr, std::memory_order_release);
  seat.idle.store(0, std::memory_order_relaxed);
  seat.waiting_since.store(0, std::memory_order_relaxed);
}

telemetry::PoolLabels Pool::labels() const {
  return {config_->tenant, base::to_utf8(config_->user), base::to_utf8(config_->database)};
}

// It has a connection, so its database exists, and whoever scrapes shall know it by name: names that clients invent take
// no place in the metrics.
void Pool::begin_to_count() {
  if (counted_ != Counted::kNotYet || home_.counters == nullptr) return;
  const auto so_far = std::exchange(counters_, home_.counters->find_or_make(labels(), home_.worker));
  counted_ = counters_ == nullptr ? Counted::kAmongOthers : Counted::kByName;
  if (counters_ == nullptr) counters_ = home_.counters->others_of(config_->tenant, home_.worker);
  counters_->add(*so_far);
}

// Clients log in here, and stay, without a connection of this shard when another one's has told what to greet them with.
void Pool::count_if_it_exists() {
  if (counted_ == Counted::kNotYet && parameters() != nullptr) begin_to_count();
}

void Pool::change_config(PoolConfigPtr config) {
  const bool elsewhere = !upstream::same_target(*config->plan, *config_->plan);
  const PoolConfigPtr before = std::exchange(config_, std::move(config));
  follow_terms();
  follow_meters(before.get());
  if (elsewhere) {
    follow_plan();
    retire_upstreams();
  }
  forget_failure();
  plan_maintenance();
  want_more();
}

// A pause that the old credential has earned is not the new one's.
void Pool::change_credential(PoolConfigPtr config) {
  config_ = std::move(config);
  if (!log_in_is_refused()) return;
  forget_failure();
  want_more();
}

// --- check-out and release ---

void Pool::check_out(Waiter& waiter, const upstream::SettingsPtr& wanted) {
  waiter.waiting_since = home_.tools.loop.now();
  if (waiters_.empty()) {
    if (upstream::Upstream* upstream = take_idle(wanted)) return grant(waiter, *upstream);
  }
  if (config_->max_waiting > 0) {
    waiter.place_ = Reservation::take(queue_, {config_->max_waiting});
    if (!waiter.place_) {
      return waiter.on_refused({.sqlstate = base::kTooManyConnections,
                                .message = "too many clients are waiting for a server connection",
                                .detail = "At most " + std::to_string(config_->max_waiting) +
                                          " clients of this pool may wait (max_waiting_clients)."});
    }
  }
  waiters_.push_back(waiter);
  publish_waiting();
  want_more();
}

upstream::Upstream* Pool::take_idle(const upstream::SettingsPtr& wanted) {
  if (idle_.empty()) return nullptr;
  auto chosen = idle_.begin();
  int looked = 0;
  for (auto it = idle_.begin(); it != idle_.end() && looked < kSettingsSearchMax; ++it, ++looked) {
    if (it->settings == wanted) {
      chosen = it;
      break;
    }
  }
  upstream::Upstream& upstream = *chosen;
  if (must_check(upstream)) {
    // It has been idle for long: see whether it still answers; the waiter gets it, or another one, right
    // after.
    idle_.erase(chosen);
    publish_idle(-1);
    start_cleaning(upstream, {.check = true});
    return nullptr;
  }
  idle_.erase(chosen);
  publish_idle(-1);
  return &upstream;
}

bool Pool::must_check(const upstream::Upstream& upstream) const {
  return home_.tools.loop.now() - upstream.released_at >= config_->check_delay;
}

void Pool::grant(Waiter& waiter, upstream::Upstream& upstream) {
  waiter.place_ = {};
  waiter.on_granted(upstream);
}

void Pool::release(upstream::Upstream& upstream, bool reset) {
  if (upstream.broken || upstream.ended()) return bury(upstream);
  const bool connect_is_undone = upstream.was_reset && !config_->connect_query.empty();
  if (!upstream.clean() || upstream.cancels_under_way > 0 || reset || connect_is_undone) {
    return start_cleaning(upstream, {.reset = reset});
  }
  offer(upstream);
}

// A clean upstream with nobody using it: to the oldest waiter, here or elsewhere, or to the idle ones.
void Pool::offer(upstream::Upstream& upstream) {
  upstream.set_user(*this);
  const base::TimePoint now = home_.tools.loop.now();
  const bool old = config_->lifetime.count() > 0 && now - upstream.created_at > config_->lifetime;
  const bool for_another = (stake_->is_asked() && stake_->yields_busy(now)) || gives_way();
  if (upstream.close_when_free || is_paused_ || old || surplus() > 0 || for_another) {
    bury(upstream);
    return want_more();
  }
  upstream.released_at = now;
  const std::int64_t mine = waiters_.empty() ? INT64_MAX : ticks(waiters_.front().waiting_since);
  const int other = hub_->longest_waiting(home_.worker, mine == INT64_MAX ? mine : mine - kMoveAdvantageNs);
  if (other >= 0) {
    idle_.push_front(upstream);
    publish_idle(+1);
    hand_over(static_cast<unsigned>(other));
    // Whoever waits here goes on waiting, for another one.
    if (!waiters_.empty()) want_more();
    return;
  }
  if (!waiters_.empty()) {
    Waiter& waiter = waiters_.front();
    waiters_.pop_front();
    publish_waiting();
    return grant(waiter, upstream);
  }
  idle_.push_front(upstream);
  publish_idle(+1);
}

void Pool::bury(upstream::Upstream& upstream) {
  const auto held = upstreams_.find(upstream.id);
  if (held == upstreams_.end()) return;
  if (upstream.is_linked()) {
    upstream.unlink();
    publish_idle(-1);
  }
  if (held->second.janitor != nullptr) no_longer_cleans(*held->second.janitor);
  // Its own callback may be on the stack: it dies at the end of the turn. Until then it may still say
  // something, which must not reach a session that has gone.
  upstream.set_user(*this);
  held->second.presence.end();
  auto remains = std::make_shared<Held>(std::move(held->second));
  upstreams_.erase(held);
  home_.tools.loop.defer([remains] {});
  if (!waiters_.empty()) want_more();
}

void Pool::on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) {
  if (!upstreams_.contains(upstream.id)) return;  // buried
  // An idle server may say that a parameter has changed, that it is about to stop, or send a notice.
  upstream.scanner.feed(bytes.view());
  for (auto event = upstream.scanner.next(); event.kind != pgwire::FrameScanner::Kind::kMore;
       event = upstream.scanner.next()) {
    if (event.kind == pgwire::FrameScanner::Kind::kBroken || !upstream.track(event, home_.settings) ||
        upstream.broken) {
      return bury(upstream);
    }
  }
}

void Pool::on_upstream_end(upstream::Upstream& upstream, const base::Error*) {
  bury(upstream);
}

upstream::Upstream* Pool::find(std::uint64_t upstream_id) {
  const auto held = upstreams_.find(upstream_id);
  return held == upstreams_.end() ? nullptr : held->second.upstream.get();
}

void Pool::cancel_answered(std::uint64_t upstream_id, upstream::CancelEnd end) {
  const auto held = upstreams_.find(upstream_id);
  if (held == upstreams_.end()) return;
  upstream::Upstream& upstream = *held->second.upstream;
  --upstream.cancels_under_way;
  upstream.close_when_free |= end == upstream::CancelEnd::kInDoubt;
  if (held->second.janitor != nullptr) held->second.janitor->cancel_answered();
}

// --- cleaning ---

void Pool::start_cleaning(upstream::Upstream& upstream, Cleaning work) {
  Held& held = upstreams_.at(upstream.id);
  ++cleaning_count_;
  held.janitor = std::make_unique<Janitor>(*this, upstream, work);
  prompt_.push_back(*held.janitor);
  ++prompt_count_;
  held.janitor->start();
}

void Pool::no_longer_cleans(Janitor& janitor) {
  --cleaning_count_;
  if (!janitor.is_linked()) return;
  janitor.unlink();
  --prompt_count_;
}

void Pool::cleaned(upstream::Upstream& upstream, bool usable) {
  Held& held = upstreams_.at(upstream.id);
  no_longer_cleans(*held.janitor);
  home_.tools.loop.defer([janitor = std::shared_ptr<Janitor>(std::move(held.janitor))] {});
  if (!usable || upstream.broken || upstream.ended()) {
    bury(upstream);
    return want_more();
  }
  offer(upstream);
}

// --- what servers are like ---

const upstream::ServerParameters* Pool::parameters() {
  if (parameters_ == nullptr) {
    if (auto known = hub_->parameters()) learn(std::move(known));
  }
  return parameters_.get();
}

// What clients are told in the greeting comes from the upstream that logged in last.
void Pool::learn(std::shared_ptr<const upstream::ServerParameters> parameters) {
  upstream::Settings::Values values;
  for (const auto& [name, value] : *parameters) {
    if (!upstream::is_read_only(name)) values.emplace_back(name, value);
  }
  upstream::SettingsPtr settings = home_.settings.intern(std::move(values));
  parameters_ = std::move(parameters);
  if (settings_at_login_ != settings) outcomes_.clear();
  settings_at_login_ = std::move(settings);
}

upstream::SettingsPtr Pool::known_outcome(const upstream::SettingsPtr& asked) const {
  const auto found = outcomes_.find(asked);
  return found == outcomes_.end() ? nullptr : found->second;
}

void Pool::remember_outcome(const upstream::SettingsPtr& asked, upstream::SettingsPtr outcome) {
  if (outcomes_.size() >= kOutcomesMax) outcomes_.clear();
  outcomes_[asked] = std::move(outcome);
}

// --- between workers ---

// Gives an idle upstream to the shard of `worker`.
void Pool::hand_over(unsigned worker) {
  if (idle_.empty()) return;
  upstream::Upstream& upstream = idle_.back();
  if (!upstream.stream().movable()) {
    // Its place in the pool goes instead: the other worker opens a connection of its own.
    return bury(upstream);
  }
  idle_.pop_back();
  publish_idle(-1);
  const auto found = upstreams_.find(upstream.id);
  auto transit = std::make_shared<Transit>(Transit{.held = std::move(found->second), .config = config_});
  upstreams_.erase(found);
  tls::Passage::take(transit->held.upstream->take_stream(), [hub = hub_, worker,
                                                             transit](base::Result<tls::Passage> passage) {
    // Bytes from an idle server would be news of its end: not worth carrying over.
    if (!passage || !passage->received().empty()) return;
    PoolHub::tell(hub, worker, [transit, passage = std::move(*passage)](Pool* pool) mutable {
      if (pool != nullptr) pool->arrive(std::move(*transit), std::move(passage));
    });
  });
}

void Pool::arrive(Transit transit, tls::Passage passage) {
  auto stream = passage.arrive(home_.tools.loop);
  if (!stream) return;
  // Workers hear of the same at different moments. What we have yet to hear of concerns it when we do. (Equal files may
  // make TLS contexts that are not the same, so plans may differ where nothing has changed.)
  const bool is_from_elsewhere = transit.config->tenant_spec != config_->tenant_spec &&
                                 !upstream::same_target(*transit.config->plan, *config_->plan);
  Held& held = transit.held;
  upstream::Upstream& taken = *held.upstream;
  const bool is_outdated = taken.created_at < retired_at_ || is_from_elsewhere;
  // Settings are interned per worker.
  taken.settings = home_.settings.intern(taken.settings->values());
  taken.settings_at_login = home_.settings.intern(taken.settings_at_login->values());
  upstreams_.emplace(taken.id, std::move(held));
  begin_to_count();
  taken.set_user(*this);
  taken.return_stream(std::move(*stream));
  plan_maintenance();
  // Whoever it came for may have given up: else it would be drawn here again and again.
  publish_waiting();
  if (is_outdated) return bury(taken);
  if (must_check(taken)) return start_cleaning(taken, {.check = true});
  offer(taken);
}

void Pool::publish_waiting() {
  std::atomic<std::int64_t>& published = hub_->seat(home_.worker).waiting_since;
  const std::int64_t since = waiters_.empty() ? 0 : ticks(waiters_.front().waiting_since);
  const std::int64_t told = published.load(std::memory_order_relaxed);
  // All workers read it at each release: it is not written anew for what none of them would act on.
  if ((since == 0) == (told == 0) && std::abs(since - told) < kMoveAdvantageNs / 5) return;
  published.store(since, std::memory_order_relaxed);
}

void Pool::publish_idle(int change) {
  idle_count_ = static_cast<std::size_t>(static_cast<std::int64_t>(idle_count_) + change);
  hub_->seat(home_.worker).idle.store(static_cast<int>(idle_count_), std::memory_order_relaxed);
  if (home_.with_idle == nullptr || is_linked() == (idle_count_ > 0)) return;
  is_linked() ? unlink() : home_.with_idle->push_front(*this);
}

// --- upkeep ---

void Pool::retire_upstreams(base::TimePoint ordered_at) {
  retired_at_ = std::max(retired_at_, ordered_at);
  retire_upstreams();
}

void Pool::retire_upstreams() {
  for (auto& [id, held] : upstreams_) held.upstream->close_when_free = true;
  while (!idle_.empty()) bury(idle_.front());
  // Those on their way would come from where the pool no longer goes.
  for (const auto& dial : dials_) dial->reservation = {};
  home_.tools.loop.defer([given_up = std::exchange(dials_, {})] {});
  want_more();
}

void Pool::pause() {
  if (std::exchange(is_paused_, true)) return;
  retire_upstreams();
}

void Pool::resume() {
  if (!std::exchange(is_paused_, false)) return;
  plan_maintenance();
  want_more();
}

void Pool::plan_maintenance() {
  const bool needed = !upstreams_.empty() || config_->min_size > 0;
  if (needed && !maintenance_timer_.armed()) {
    home_.tools.loop.timers().arm(maintenance_timer_, home_.tools.loop.now() + kMaintenanceEvery);
  }
}

void Pool::maintain() {
  const base::TimePoint now = home_.tools.loop.now();
  publish_waiting();  // waiters that gave up have unlinked themselves
  std::vector<upstream::Upstream*> over;
  int spare = scopes_->front()->open.load(std::memory_order_relaxed) - config_->min_size;
  int beyond = surplus();
  for (auto it = idle_.rbegin(); it != idle_.rend(); ++it) {
    const bool old = config_->lifetime.count() > 0 && now - it->created_at > config_->lifetime;
    const bool unused = config_->idle_timeout.count() > 0 && now - it->released_at > config_->idle_timeout;
    if (old || (unused && spare > 0) || beyond > 0) {
      over.push_back(&*it);
      --spare;
      --beyond;
    }
  }
  for (upstream::Upstream* upstream : over) bury(*upstream);
  want_more();
  plan_maintenance();
}

Pool::Counts Pool::counts() const {
  Counts counts{.idle = idle_count_,
                .cleaning = cleaning_count_,
                .dialling = dials_.size(),
                .waiting = waiters_.size()};
  counts.lent = upstreams_.size() - counts.idle - counts.cleaning;
  return counts;
}

void Pool::for_each_upstream(
    const std::function<void(const upstream::Upstream&, std::string_view state)>& call) const {
  for (const auto& [id, held] : upstreams_) {
    const bool is_cleaning = held.janitor != nullptr;
    call(*held.upstream, is_cleaning ? "cleaning" : held.upstream->is_linked() ? "idle" : "active");
  }
}

std::optional<base::TimePoint> Pool::oldest_wait() const {
  if (waiters_.empty()) return std::nullopt;
  return waiters_.front().waiting_since;
}

}  // namespace penstock::pool
