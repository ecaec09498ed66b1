// How a pool opens connections: for whom, when, within which limits, and what its clients hear when that
// fails.
#include "pool/pool_dial.h"

#include <algorithm>
#include <utility>

#include "pool/janitor.h"
#include "telemetry/log.h"
#include "upstream/connect_query.h"

namespace penstock::pool {

namespace {

// How often a shard whose clients wait looks whether it may open a connection now.
constexpr base::Duration kRetryEvery = std::chrono::milliseconds(20);
// The same where it stands in line and is called as soon as there is room.
constexpr base::Duration kLineRetry = std::chrono::milliseconds(250);
// How often a pool looks for room at a time: it may stand in another line after each.
constexpr int kLooksMax = 3;
// So long a client waits for an upstream that is being cleaned or checked, before others are looked for, too.
constexpr base::Duration kPromptCleaning = std::chrono::milliseconds(200);
// How often another worker with idle upstreams is asked for one.
constexpr base::Duration kAskEvery = std::chrono::milliseconds(1);
// How soon the tenant's share is asked again after a no: a busy pool would do so with every check-out.
constexpr base::Duration kShareRest = std::chrono::milliseconds(1);

// Until it may be used.
io::Task<base::Result<upstream::LoggedIn>> open_connection(upstream::DialTools tools, PoolConfigPtr config) {
  auto opened = co_await upstream::dial(tools, config->plan);
  if (!opened || config->connect_query.empty()) co_return opened;
  const std::string address = opened->address.to_string();
  auto connected =
      co_await upstream::run_connect_query(tools, config->plan, std::move(*opened), config->connect_query);
  if (!connected) {
    base::Error& error = connected.error();
    error.where = address;
    telemetry::log::warning("pool.connect_query",
                            {{"tenant", config->tenant},
                             {"database", config->database},
                             {"user", config->user},
                             {"server", address},
                             {"sqlstate", error.sqlstate.view()}},
                            error.message);
  }
  co_return connected;
}

}  // namespace

void Pool::count_prompt() {
  const base::TimePoint late = home_.tools.loop.now() - kPromptCleaning;
  for (; !prompt_.empty() && prompt_.front().started_at() <= late; --prompt_count_) prompt_.pop_front();
}

// Who came while an upstream was being checked, or whose upstream failed the check, may be served by another
// idle one. When one does not answer, perhaps none does, or only this one: all are asked at once.
void Pool::use_idle() {
  const auto somebody_is_left = [&] {
    if (some_are_slow()) return !waiters_.empty();
    auto unserved = waiters_.begin();  // the first whom none of those being cleaned will serve
    for (std::size_t i = 0; i < prompt_count_ && unserved != waiters_.end(); ++i) ++unserved;
    return unserved != waiters_.end();
  };
  while (!idle_.empty() && somebody_is_left()) {
    if (upstream::Upstream* upstream = take_idle(nullptr)) offer(*upstream);
  }
}

// Called whenever clients wait and something may have changed: asks other workers, or opens connections. In a
// busy pool that is at each check-out, so it looks at no more waiters than there are connections on their
// way.
void Pool::want_more() {
  keeps_ticket_ = is_full_ = false;
  ask_or_dial();
  if (!keeps_ticket_) ticket_.leave();
}

void Pool::ask_or_dial() {
  publish_waiting();  // waiters that gave up have unlinked themselves
  if (is_paused_) return;
  count_prompt();
  use_idle();
  const bool below_min = scopes_->front()->open.load(std::memory_order_relaxed) < config_->min_size;
  if (waiters_.empty() && !below_min) return;
  const std::size_t coming = dials_.size() + (some_are_slow() ? 0 : prompt_count_);
  auto unserved = waiters_.begin();  // the first whom none of those that are coming will serve
  for (std::size_t i = 0; i < coming && unserved != waiters_.end(); ++i) ++unserved;
  const base::TimePoint now = home_.tools.loop.now();
  bool asked = false;
  if (unserved != waiters_.end() && now >= ask_again_at_) {
    const int other = hub_->some_idle(home_.worker);
    if (other >= 0) {
      asked = true;
      ask_again_at_ = now + kAskEvery;
      PoolHub::tell(hub_, static_cast<unsigned>(other), [me = home_.worker](Pool* pool) {
        if (pool != nullptr) pool->hand_over(me);
      });
      ++unserved;
    }
  }
  bool for_min = below_min && coming == 0;
  const auto arrival = [&] { return unserved == waiters_.end() ? Arrival() : unserved->waiting_since; };
  while ((unserved != waiters_.end() || for_min) && dial_now(arrival())) {
    for_min = false;
    if (unserved != waiters_.end()) ++unserved;
  }
  // Limits, rates and other workers may hold us up: look again soon. So they may where one was asked: it may
  // have none left when it hears of that, or what it gives may end on the way, and nobody would tell us.
  base::TimePoint again = base::kNever;
  if (asked || unserved != waiters_.end()) {
    const bool is_called = keeps_ticket_ && is_full_;
    again = now + (is_called ? kLineRetry : kRetryEvery);
    // While connecting is of no use, another worker's upstream may become idle just when it did not see us wait yet.
    const bool some_elsewhere =
        std::cmp_greater(hub_->present.load(std::memory_order_relaxed), upstreams_.size());
    if (!some_elsewhere) again = std::max(no_dial_before_, again);
  }
  if (!waiters_.empty() && !prompt_.empty())
    again = std::min(again, prompt_.front().started_at() + kPromptCleaning);
  if (again == base::kNever) return;
  if (retry_timer_.armed() && retry_timer_.deadline() <= again) return;
  home_.tools.loop.timers().arm(retry_timer_, again);
}

Reservation Pool::reserve(Arrival since) {
  int most = size();
  const bool waited_long =
      !waiters_.empty() && config_->reserve_size > 0 &&
      home_.tools.loop.now() - waiters_.front().waiting_since >= config_->reserve_timeout;
  if (waited_long && most > 0) most += config_->reserve_size;
  const Limits all = limits(most);
  Reservation taken;
  for (int looks = 0; looks < kLooksMax; ++looks) {
    keeps_ticket_ = false;
    const ScopePtr full = full_scope(all, since, taken);
    is_full_ = full != nullptr;
    if (!is_full_ || full == (*scopes_)[kPoolScope] || !stand_in_line(full, since)) break;
  }
  if (!taken || !take_share(since)) return {};
  ticket_.take_place();
  call_others(all);
  taken.add(stake_);
  return taken;
}

bool Pool::take_share(Arrival since) {
  const base::TimePoint now = home_.tools.loop.now();
  if (stake_->line.lets(ticket_, since) && stake_->take(since, now)) return true;
  share_again_at_ = now + kShareRest;
  if (!since.has_value()) return false;
  keeps_ticket_ = true;
  ticket_.stand(stake_->line, *since);
  if (home_.make_room && now >= make_room_again_at_) {
    make_room_again_at_ = now + kRetryEvery;
    home_.make_room((*scopes_)[kTenantScope]);
  }
  return false;
}

bool Pool::dial_now(Arrival since) {
  const base::TimePoint now = home_.tools.loop.now();
  if (now < no_dial_before_) return false;
  if (now < share_again_at_ || !pace_->is_open(now, config_->connects_per_second)) {
    keeps_ticket_ = true;
    return false;
  }
  // One at a time until the server lets us in again: many refused log-ins help nobody, and may get us banned there.
  if (log_in_is_refused() && !dials_.empty()) return false;
  // The usual case under load: no need to ask all scopes.
  const int most = size() + config_->reserve_size;
  if (size() > 0 && scopes_->front()->open.load(std::memory_order_relaxed) >= most) return false;
  Reservation reservation = reserve(since);
  if (!reservation || !pace_->take(now, config_->connects_per_second)) return false;
  auto dial = std::make_unique<Dial>();
  dial->reservation = std::move(reservation);
  dial->plan = config_->plan;
  dial->task = open_connection(home_.tools, config_);
  Dial& started = *dial;
  dials_.push_back(std::move(dial));
  // The first steps must not run within the caller's stack: they may fail at once and refuse the very waiter.
  home_.tools.loop.defer([this, &started, hub = hub_, me = home_.worker] {
    if (hub->seat(me).shard.load(std::memory_order_relaxed) != this) return;
    started.task.start([this, &started] { dial_done(started); });
  });
  return true;
}

void Pool::dial_done(Dial& dial) {
  const auto found = std::ranges::find_if(dials_, [&](const auto& entry) { return entry.get() == &dial; });
  if (found == dials_.end()) return;  // given up
  auto result = dial.task.take_result();
  Reservation reservation = std::move(dial.reservation);
  const bool is_present_plan = dial.plan == config_->plan;
  // The coroutine that calls this is part of the Dial: it dies at the end of the turn.
  home_.tools.loop.defer([ended = std::shared_ptr<Dial>(std::move(*found))] {});
  dials_.erase(found);
  if (!result) {
    reservation = {};
    return dial_failed(std::move(result.error()));
  }
  if (result->by_other_credential && is_present_plan) prefer_other_credential();
  last_error_.reset();
  backoff_ = base::Duration(0);
  take_in(std::move(*result), std::move(reservation));
}

void Pool::forget_failure() {
  last_error_.reset();
  backoff_ = base::Duration(0);
  no_dial_before_ = {};
}

// The next connections begin with what the server has just accepted.
void Pool::prefer_other_credential() {
  auto plan = std::make_shared<upstream::DialPlan>(*config_->plan);
  std::swap(plan->credential, plan->other_credential);
  auto config = std::make_shared<PoolConfig>(*config_);
  config->plan = std::move(plan);
  config_ = std::move(config);
}

void Pool::dial_failed(base::Error error) {
  // Of a pool that has never had a connection, this is all that there is to tell.
  const bool is_stranger = counted_ == Counted::kNotYet && home_.counters != nullptr;
  (is_stranger ? home_.counters->others_of(config_->tenant, home_.worker) : counters_)
      ->counts[telemetry::PoolCount::kConnectFailures]
      .add();
  // Connections that were under way together fail together: that makes one pause.
  if (home_.tools.loop.now() >= no_dial_before_) {
    const auto first = std::chrono::duration_cast<base::Duration>(config_->retry);
    backoff_ = backoff_.count() == 0 ? first : std::min<base::Duration>(backoff_ * 2, config_->retry_max);
    // Jitter, so that pools of one host do not all come back in the same instant.
    const auto jitter = static_cast<std::int64_t>(home_.tools.loop.random().below(
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, backoff_.count() / 4))));
    no_dial_before_ = home_.tools.loop.now() + backoff_ - base::Duration(jitter);
  }
  // While the server starts up, or other upstreams live, on whichever worker, clients go on waiting; else they hear why.
  const bool starting = error.sqlstate == base::kCannotConnectNow;
  const bool is_last = hub_->present.load(std::memory_order_relaxed) == 0;
  if (is_last && dials_.empty() && !starting) refuse_all(error);
  last_error_ = std::move(error);
  want_more();
}

void Pool::refuse_all(const base::Error& error) {
  base::List<Waiter, Waiter> refused;
  refused.swap(waiters_);
  publish_waiting();
  while (!refused.empty()) {
    Waiter& waiter = refused.front();
    refused.pop_front();
    waiter.place_ = {};
    waiter.on_refused(error);
  }
}

void Pool::take_in(upstream::LoggedIn logged_in, Reservation reservation) {
  begin_to_count();
  counters_->counts[telemetry::PoolCount::kConnects].add();
  auto parameters = std::make_shared<const upstream::ServerParameters>(std::move(logged_in.parameters));
  hub_->set_parameters(parameters);
  learn(parameters);
  static std::atomic<std::uint64_t> next_id{1};
  const std::uint64_t id = next_id.fetch_add(1, std::memory_order_relaxed);
  auto upstream =
      std::make_unique<upstream::Upstream>(id, std::move(logged_in), settings_at_login_, hub_->schema());
  upstream::Upstream& taken = *upstream;
  upstreams_.emplace(id, Held{.upstream = std::move(upstream),
                              .reservation = std::move(reservation),
                              .janitor = {},
                              .presence = Presence(hub_)});
  taken.set_user(*this);
  // What came behind the log-in may have been the server's last words.
  if (!upstreams_.contains(id)) return want_more();
  plan_maintenance();
  if (must_measure()) return start_cleaning(taken, {.measure = true});
  offer(taken);
}

}  // namespace penstock::pool
