// FairShare divides the server connections of one tenant (its max_upstreams) among the tenant's users.
//
// Without it a service with many clients would take all of them, and another service of the same tenant would
// wait behind each of those clients. A user always gets what it is guaranteed. The places beyond all guarantees
// go to whoever has least beyond its own; among equals to whoever has none at all, then to whoever has waited
// longest since it last got one.
//
//   who asks and is told no            who must give one up
//   is below its guarantee             who has most beyond its own
//   has two fewer than another         that other: sharing is more even afterwards
//   has one fewer                      that other, but only now and then (kTurn): they take turns
//   anybody                            whose connection has been idle for long (kLongIdle)
//
// Owner:      shared by the Stakes; a Stake by the pools of its user, on all workers, and by what they have open.
// Home:       SYNC (one mutex, for opening and closing connections; for a query only while somebody waits for
//             a place and this user is the one to give it up: one relaxed load tells)
// Invariants: 1. With a limit, no more than `places` are taken.
//             2. Of places that are guaranteed to one user no other takes any.
//             3. One refusal makes one user give up at most one place.
// Waits:      never: who is refused asks again; for kWishLife it goes before others.
// Bounds:     one Stake for each user who has a pool.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "pool/room_line.h"

namespace penstock::pool {

class Stake;

class FairShare {
 public:
  static constexpr base::Duration kTurn = std::chrono::milliseconds(100);
  static constexpr base::Duration kLongTurn = std::chrono::seconds(1);  // of who has some already
  static constexpr base::Duration kLongIdle = std::chrono::seconds(1);
  static constexpr base::Duration kWishLife = std::chrono::milliseconds(200);

 private:
  friend class Stake;
  // All of these under the mutex.
  int beyond_guarantees() const;
  bool has_room_for(const Stake& stake) const;
  Stake* first_in_line(const Stake* but, base::TimePoint now) const;
  void ask_somebody(const Stake& wisher, base::TimePoint now);
  void open(int change);

  std::atomic<int> beyond_{0};  // of open_, more than places_; read without the mutex
  std::mutex mutex_;
  std::vector<Stake*> stakes_;
  int open_ = 0;
  int places_ = 0;       // 0: no limit
  int guaranteed_ = 0;   // to all users together
  bool demand_ = false;  // somebody was told no, and nobody has given up a place for it yet
};

// What one user has of it.
class Stake {
 public:
  struct Terms {
    int places = 0;          // of the tenant; 0: no limit
    int guaranteed_all = 0;  // to all users of the tenant
    int guaranteed = 0;      // to this one
  };

  explicit Stake(std::shared_ptr<FairShare> share);
  ~Stake();
  Stake(const Stake&) = delete;

  void set_terms(const Terms& terms);
  // One more place. `since`: when the client came who waits for it; without one a no is not remembered.
  bool take(std::optional<base::TimePoint> since, base::TimePoint now);
  void give_back();
  // How many of its connections are to be closed because the tenant has more than it may: its limit has been lowered.
  // What this user is guaranteed it keeps. Read whenever a connection comes back, as is_asked() is.
  int surplus() const;

  // The pools of this user, each for another database, for which it was told no.
  RoomLine line;

  // Read whenever a connection comes back: whether yields_busy() need be asked.
  bool is_asked() const { return asked_.load(std::memory_order_relaxed); }
  // Whether a connection that has just come back is to be closed for another user, or one that has been idle
  // since then. Yes is said once for each wish.
  bool yields_busy(base::TimePoint now);
  bool yields_idle(base::TimePoint idle_since, base::TimePoint now);

 private:
  friend class FairShare;
  int beyond() const { return open_ - guaranteed_; }  // below zero: it has not got its guarantee
  bool wishes(base::TimePoint now) const { return wished_since_ && now < wish_ends_; }
  base::TimePoint waiting_from() const;
  bool goes_before(const Stake& other) const;
  bool deserves_one_of(const Stake& other, base::TimePoint now) const;
  bool yield(base::TimePoint now);

  const std::shared_ptr<FairShare> share_;
  std::atomic<bool> asked_{false};
  // Guarded by the share's mutex.
  int open_ = 0;
  int guaranteed_ = 0;
  base::TimePoint changed_at_{};  // when it last got a place, or gave one up
  std::optional<base::TimePoint> wished_since_;
  base::TimePoint wish_ends_{};
};
using StakePtr = std::shared_ptr<Stake>;

}  // namespace penstock::pool
