// RoomLine: the pools that are held up by a limit which they share with others, in the order in which the clients came
// for whom they want room.
//
// Without it each of them would try again and again, whoever happened to try next after a place had become free
// would get it, and with many pools some would never be served.
//
// A pool stands in line with its Ticket. Pools that have what others wait for look here when a connection comes
// back: one claim gives up one connection for one ticket. When room has become free, the first ticket that has
// not been called is called; its pool opens a connection or leaves the line, and then the next one is called.
//
// Owner:      its Scope; a Ticket is its pool's, and leaves when it dies.
// Home:       SYNC (one mutex, while somebody stands in line; else one relaxed load)
// Invariants: 1. A ticket is in at most one line.
//             2. Nobody goes before a ticket that has waited longer, unless that has been called and has not
//                come yet.
// Waits:      never: tickets are called, on whichever thread made the room.
// Bounds:     one ticket for each pool and worker.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <set>

#include "base/clock.h"

namespace penstock::pool {

class RoomLine {
 public:
  // So much longer must somebody else have waited than the clients of a pool that is to give up a connection: opening
  // another one costs as much as many queries.
  static constexpr base::Duration kTurn = std::chrono::milliseconds(50);

  class Ticket {
   public:
    // `pool`: what all workers' shards of the pool have in common. `call` is called on any thread, also when the
    // ticket has just died.
    Ticket(const void* pool, std::function<void()> call) : pool_(pool), call_(std::move(call)) {}
    ~Ticket() { leave(); }
    Ticket(const Ticket&) = delete;

    // Joins that line, and leaves any other. True: room that has become free meanwhile may have been called out to
    // nobody, because it was not there before, or had been called already. It is no longer.
    bool stand(RoomLine& line, base::TimePoint since);
    // A place has been taken: its call has been of use.
    void take_place();
    // Calls the next one where it had been called itself in vain.
    void leave();

   private:
    friend class RoomLine;
    struct Earlier {
      bool operator()(const Ticket* one, const Ticket* other) const;
    };
    const void* const pool_;
    const std::function<void()> call_;
    RoomLine* line_ = nullptr;  // touched by the pool's thread alone
    // Guarded by the line's mutex.
    base::TimePoint since_{};
    bool is_called_ = false;
    bool is_promised_ = false;  // a connection is being closed for it
  };

  RoomLine() = default;
  RoomLine(const RoomLine&) = delete;

  // Whether a pool may take what room there is, for a client that came then; without one it goes behind all others.
  bool lets(const Ticket& ticket, std::optional<base::TimePoint> since) const;
  bool is_first(const Ticket& ticket) const;
  // Whether a connection is to be closed for somebody: `oldest` of the clients that wait for that very connection
  // came then; without one nobody does.
  bool claims(const void* pool, std::optional<base::TimePoint> oldest);
  // There may be room.
  void call_next();

 private:
  void publish();

  std::atomic<std::size_t> size_{0};
  std::atomic<base::TimePoint::rep> unpromised_since_{kNobody};  // of the first that has no promise, in ticks
  static constexpr base::TimePoint::rep kNobody = base::TimePoint::max().time_since_epoch().count();
  mutable std::mutex mutex_;
  std::set<Ticket*, Ticket::Earlier> tickets_;  // guarded by mutex_
};

}  // namespace penstock::pool
