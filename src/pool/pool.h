// Pool: one worker's share of the upstreams of one user and database, and of the clients that wait for them.
//
// Owner:      the worker's PoolSet; sessions share it.
// Home:       LOOP
// Invariants: 1. An upstream is in exactly one of: idle_, lent out (its user is a session), in the janitor's
//                hands.
//             2. Waiters are granted in order of arrival; nobody overtakes while a waiter could have been
//                served.
//             3. Every upstream holds a Reservation in all scopes that have limits.
//             4. While it is paused nobody is granted an upstream, and none is opened.
// Waits:      a Waiter waits until grant or refusal; its deadline is its own affair.
// Errors:     refusals carry the server's own error when connecting failed; 53300 when the queue is full.
// Bounds:     config: size + reserve_size upstreams over all workers; max_waiting waiters.
// See:        docs/internals/pool.md
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/intrusive_list.h"
#include "io/task.h"
#include "pool/ledger.h"
#include "pool/pool_config.h"
#include "pool/pool_hub.h"
#include "telemetry/pool_counters.h"
#include "tls/passage.h"
#include "upstream/dial.h"
#include "upstream/upstream.h"

namespace penstock::pool {

class Janitor;
class Pool;

// What a pool needs of its worker.
struct PoolHome {
  unsigned worker;
  upstream::DialTools tools;
  upstream::SettingsTable& settings;
  Ledger& ledger;
  // Asks the pools of all workers to give up an idle upstream that counts in this scope.
  std::function<void(const ScopePtr&)> make_room = {};
  // Those of the worker's pools that have idle upstreams, the one that got its first one last in front; null: not kept.
  base::List<Pool, Pool>* with_idle = nullptr;
  telemetry::PoolCounterTable* counters = nullptr;  // null: what is counted is not told
};

// What a janitor does with an upstream once nothing is outstanding.
struct Cleaning {
  bool measure = false;  // how many connections the server has
  bool reset = false;
  bool check = false;
};

// A session that wants an upstream.
class Waiter : public base::ListHook<Waiter> {
 public:
  virtual void on_granted(upstream::Upstream& upstream) = 0;
  virtual void on_refused(const base::Error& error) = 0;
  // Leaves the queue, if it is in one.
  void stop_waiting() {
    if (is_linked()) unlink();
    place_ = {};
  }
  base::TimePoint waiting_since{};

 protected:
  ~Waiter() = default;

 private:
  friend class Pool;
  Reservation place_;  // in the queue, whose length may be limited
};

class Pool final : public base::ListHook<Pool>, private upstream::UpstreamUser {
 public:
  Pool(PoolHome home, std::string key, PoolConfigPtr config, std::shared_ptr<PoolHub> hub);
  ~Pool();
  Pool(const Pool&) = delete;

  const std::string& key() const { return key_; }
  // Upstreams over all workers, without the reserve; 0: no limit.
  int size() const;
  const PoolConfig& config() const { return *config_; }
  const PoolConfigPtr& config_ptr() const { return config_; }
  // What people and Prometheus are told of it by: the user is the role at the server, which several of the tenant's users
  // may share. Clients may name a database as they like; these are UTF-8.
  telemetry::PoolLabels labels() const;
  // Whether the metrics know it by these: it has had a connection, on whichever worker, and there was room.
  bool is_counted() const { return counted_ == Counted::kByName; }
  // Takes effect at once; upstreams that no longer fit are closed when free.
  void change_config(PoolConfigPtr config);
  // The same but for what it logs in with: upstreams that are logged in stay.
  void change_credential(PoolConfigPtr config);

  // Grants at once (from within the call) or later. `wanted`: an upstream that has these settings is
  // preferred.
  void check_out(Waiter& waiter, const upstream::SettingsPtr& wanted);
  // The session has finished with it: reuse when clean, else clean up behind the session, else close.
  void release(upstream::Upstream& upstream, bool reset);
  // Closes an idle upstream for another pool that waits for room in this scope, if it counts there.
  bool yield_idle(const ScopePtr& scope);
  // Closes it.
  void bury(upstream::Upstream& upstream);
  // A cancel that was under way for `upstream` has ended. In doubt about it nobody else gets the upstream.
  void cancel_answered(std::uint64_t upstream_id, upstream::CancelEnd end);
  upstream::Upstream* find(std::uint64_t upstream_id);

  // What the server reported at the last log-in; null until there was one, on whichever worker.
  const upstream::ServerParameters* parameters();
  // The settings of a fresh session, of those that can be set.
  const upstream::SettingsPtr& settings_at_login() const { return settings_at_login_; }

  // What the server made of settings a client asked for, if that has been tried before; null: not known.
  upstream::SettingsPtr known_outcome(const upstream::SettingsPtr& asked) const;
  void remember_outcome(const upstream::SettingsPtr& asked, upstream::SettingsPtr outcome);

  // Closes idle upstreams and gives up those on their way; those lent out are closed when they come back. For
  // reconnects and shutdown.
  void retire_upstreams();
  // The same by an order that goes to all workers, with one time for all of them: what another worker gives us before it
  // has heard of the order is closed, too.
  void retire_upstreams(base::TimePoint ordered_at);
  // Upstreams close as they become free, and clients wait. Those who have one keep it until they are done.
  void pause();
  void resume();
  bool is_paused() const { return is_paused_; }
  bool has_upstreams() const { return !upstreams_.empty(); }
  // No client of any worker has it, and nobody here waits or is being served.
  bool unused() const {
    return hub_->clients.load(std::memory_order_relaxed) == 0 && waiters_.empty() && dials_.empty() &&
           upstreams_.size() == idle_count_;
  }
  void count_login() {
    count_if_it_exists();
    counters_->counts[telemetry::PoolCount::kLogins].add();
  }
  void add_client(int change) {
    if (change > 0) count_if_it_exists();
    hub_->clients.fetch_add(change, std::memory_order_relaxed);
    if (change > 0) counters_->clients.add();
    if (change < 0) counters_->clients.subtract();
  }
  bool quiet() const { return upstreams_.empty() && dials_.empty() && waiters_.empty(); }

  // What the tenant's clients may do in a second, over all pools and workers. Most tenants have no such limit,
  // and is_metered() is all they pay for it.
  bool is_metered() const { return metered_; }
  // When that was last changed: who waits for the old limit need not go on.
  base::TimePoint metered_since() const { return metered_since_; }
  // From when on a query may run; nothing when it would be later than `latest`.
  std::optional<base::TimePoint> admit_query(base::TimePoint latest);
  // What has been passed on. From when on there may be more.
  base::TimePoint charge(int queries, std::size_t bytes);

  // Why the last attempt to connect failed; null when it did not.
  const base::Error* last_error() const { return last_error_.has_value() ? &*last_error_ : nullptr; }

  struct Counts {
    std::size_t idle = 0, lent = 0, cleaning = 0, dialling = 0, waiting = 0;
  };
  Counts counts() const;
  // Since when its oldest client waits; nothing when nobody does.
  std::optional<base::TimePoint> oldest_wait() const;
  // "idle", "active", "cleaning"
  void for_each_upstream(
      const std::function<void(const upstream::Upstream&, std::string_view state)>& call) const;
  telemetry::PoolCounters& counters() { return *counters_; }
  PoolHome& home() { return home_; }

 private:
  friend class Janitor;
  // In scopes_.
  static constexpr std::size_t kPoolScope = 0, kTenantScope = 1, kUserScope = 2, kDatabaseScope = 3,
                               kProcessScope = 4;
  using Limits = std::array<int, 5>;
  // When the client came for whom something is; nothing: it is for none, but for the pool's least size.
  using Arrival = std::optional<base::TimePoint>;
  struct Dial;
  struct Held {
    std::unique_ptr<upstream::Upstream> upstream;
    Reservation reservation;
    std::unique_ptr<Janitor> janitor;  // only while it cleans
    Presence presence;
  };

  void on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) override;
  void on_upstream_end(upstream::Upstream& upstream, const base::Error* error) override;

  upstream::Upstream* take_idle(const upstream::SettingsPtr& wanted);
  void offer(upstream::Upstream& upstream);
  void grant(Waiter& waiter, upstream::Upstream& upstream);
  bool must_check(const upstream::Upstream& upstream) const;
  void start_cleaning(upstream::Upstream& upstream, Cleaning work);
  void cleaned(upstream::Upstream& upstream, bool usable);

  void use_idle();
  void count_prompt();
  bool some_are_slow() const { return cleaning_count_ > prompt_count_; }
  void no_longer_cleans(Janitor& janitor);
  void want_more();
  void ask_or_dial();
  bool dial_now(Arrival since);
  void dial_done(Dial& dial);
  void dial_failed(base::Error error);
  void prefer_other_credential();
  void forget_failure();
  Limits limits(int size) const;
  bool gives_way();
  // Whether the server has refused the last log-in for who we are.
  bool log_in_is_refused() const { return last_error_ && last_error_->sqlstate.category() == "28"; }
  Reservation reserve(Arrival since);
  ScopePtr full_scope(const Limits& limits, Arrival since, Reservation& taken);
  bool stand_in_line(const ScopePtr& scope, Arrival since);
  void call_others(const Limits& limits);
  bool take_share(Arrival since);
  bool must_measure();
  void measured(int connections) { capacity_->connections.store(connections, std::memory_order_relaxed); }
  void follow_plan();
  void follow_terms();
  void follow_meters(const PoolConfig* before);
  void learn(std::shared_ptr<const upstream::ServerParameters> parameters);
  void take_in(upstream::LoggedIn logged_in, Reservation reservation);
  void refuse_all(const base::Error& error);

  void hand_over(unsigned worker);
  // An upstream on its way to another worker, and how its shard was configured when it gave it away.
  struct Transit {
    Held held;
    PoolConfigPtr config;
  };
  void arrive(Transit transit, tls::Passage passage);
  void publish_waiting();
  void publish_idle(int change);
  void begin_to_count();
  void count_if_it_exists();
  void maintain();
  void plan_maintenance();
  int surplus() const;

  PoolHome home_;
  std::string key_;
  PoolConfigPtr config_;
  std::shared_ptr<PoolHub> hub_;
  enum class Counted : std::uint8_t { kNotYet, kAmongOthers, kByName };
  std::shared_ptr<telemetry::PoolCounters> counters_;  // this worker's
  Counted counted_;                                    // kNotYet: nobody else knows of them
  ScopesPtr scopes_;           // of its upstreams: pool, tenant, user, database, process
  ScopesPtr queue_;            // the clients that wait, on all workers
  PacePtr pace_;               // of connecting to these hosts
  CapacityPtr capacity_;       // theirs
  StakePtr stake_;             // of its user, in what the tenant may have
  MetersPtr meters_;           // the tenant's
  RoomLine::Ticket ticket_;    // in the line of a scope, or of the stake
  bool keeps_ticket_ = false;  // whether it goes on standing there: want_more() finds out
  bool is_full_ = false;       // likewise: whether it will be called when there is room
  base::TimePoint metered_since_{};
  bool metered_ = false;
  std::unordered_map<std::uint64_t, Held> upstreams_;
  base::List<upstream::Upstream, upstream::Upstream> idle_;  // most recently used first
  base::List<Waiter, Waiter> waiters_;
  std::vector<std::unique_ptr<Dial>> dials_;
  std::shared_ptr<const upstream::ServerParameters> parameters_;
  upstream::SettingsPtr settings_at_login_;
  std::unordered_map<upstream::SettingsPtr, upstream::SettingsPtr> outcomes_;  // at most kOutcomesMax
  bool is_paused_ = false;
  base::TimePoint retired_at_{};  // of the latest order: upstreams opened before it are not taken in
  std::size_t idle_count_ = 0;
  std::size_t cleaning_count_ = 0;       // in the janitors' hands
  base::List<Janitor, Janitor> prompt_;  // of these, those who may be done in a moment; the oldest first
  std::size_t prompt_count_ = 0;
  base::TimePoint ask_again_at_{};
  base::TimePoint make_room_again_at_{};
  base::TimePoint share_again_at_{};  // the tenant's share is asked no sooner

  std::optional<base::Error> last_error_;
  base::TimePoint no_dial_before_{};
  base::Duration backoff_{0};
  io::Timer retry_timer_;
  io::Timer maintenance_timer_;
};

}  // namespace penstock::pool
