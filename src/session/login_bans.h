// LoginBans counts wrong passwords by tenant and address, and keeps out for a while who had too many.
//
// Only a proof that was checked and did not fit counts: no vanished client, no server that is down, no unknown
// database.
//
// Owner:      the server; the workers share it.
// Home:       SYNC (one mutex, held for a look-up; not taken while nothing is counted). list() and lift() too.
// Invariants: an address that is banned is counted no further: a ban ends at its time.
// Bounds:     kEntriesMax addresses; the one that has been quiet for longest makes room, of those that are not banned if
//             there is one. Of a tenant's name kTenantBytesMax: longer than an id can be, so what is cut is none.
#pragma once

#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace penstock::session {

class LoginBans {
 public:
  static constexpr std::size_t kEntriesMax = 50'000;
  static constexpr std::size_t kTenantBytesMax = 64;

  struct Policy {
    int failures = 0;  // 0: nobody is banned
    base::Duration window{};
    base::Duration time{};
    const std::vector<std::string>& exempt;  // networks
  };
  // Nobody is ever banned there.
  static bool spares(std::string_view address, const Policy& policy);
  // What is counted together with this address, as text; empty: it cannot be told.
  static std::string site_of(std::string_view address);

  // `tenant`: its id, or what the client takes for one: who names a tenant that does not exist must not see that.
  // `address`: the client's; empty: a Unix socket.
  std::optional<base::TimePoint> banned_until(std::string_view tenant, std::string_view address,
                                              const Policy& policy, base::TimePoint now) const;
  // True: the address is banned from now on.
  bool note_wrong_password(std::string_view tenant, std::string_view address, const Policy& policy,
                           base::TimePoint now);

  // A proof did not fit, and it is being found out whether what is known is the newest: until this ends, there may be one
  // wrong password more.
  class Doubt {
   public:
    Doubt(LoginBans& bans, std::string_view tenant, std::string_view address, const Policy& policy,
          base::TimePoint now);
    ~Doubt();
    Doubt(const Doubt&) = delete;
    Doubt& operator=(const Doubt&) = delete;

   private:
    LoginBans* bans_;  // null: nobody is banned there
    std::string tenant_, site_;
  };
  // Whether a proof may be checked now. If not, ask again when the doubts are over: guesses that come all at once are
  // no more than those that come one after the other.
  bool may_guess(std::string_view tenant, std::string_view address, const Policy& policy,
                 base::TimePoint now) const;

  struct Ban {
    std::string address;  // "192.0.2.1", "2001:db8::/64"
    base::TimePoint until;
  };
  std::vector<Ban> list(std::string_view tenant, base::TimePoint now) const;
  // In any notation; those that are not banned are passed over, but what is counted of them is forgotten.
  void lift(std::string_view tenant, const std::vector<std::string>& addresses);

  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    std::string tenant, site;
    int failures = 0;
    int doubts = 0;
    base::TimePoint since{};         // of the first of these failures
    base::TimePoint banned_until{};  // not set: it stands in counted_
    base::TimePoint over_at{};       // nothing of it counts any more
  };
  using Order = std::list<Entry>;
  struct Key {
    std::string_view tenant, site;  // of the entry itself
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };

  const Entry* find(std::string_view tenant, std::string_view site) const;
  Order::iterator entry_of(std::string_view tenant, std::string_view site, base::TimePoint now);
  Order& order_of(const Entry& entry) { return entry.banned_until > base::TimePoint() ? banned_ : counted_; }
  void forget(Order::iterator entry);
  void publish_size() { size_.store(entries_.size(), std::memory_order_relaxed); }

  mutable std::mutex mutex_;
  Order counted_, banned_;                                     // guarded by mutex_; quiet for longest first
  std::unordered_map<Key, Order::iterator, KeyHash> entries_;  // guarded by mutex_
  std::atomic<std::size_t> size_{0};
};

}  // namespace penstock::session
