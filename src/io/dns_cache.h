// DnsCache remembers what names resolved to, for as long as their owners allow.
//
// Owner:      Resolver, by value.
// Home:       SYNC (no lock inside: the resolver's mutex guards it)
// Invariants: entries are ordered by last use; `by_name_` and `entries_` hold the same names.
// Bounds:     `entries_max`; the entry unused for longest goes first.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "io/address.h"

namespace penstock::io {

// What the domain name system says of one name.
struct DnsAnswer {
  enum class Kind : std::uint8_t {
    kFound,    // `addresses` is not empty
    kNoName,   // the name, or an address for it, does not exist
    kTrouble,  // no usable answer: timeouts, server failures
  };
  Kind kind = Kind::kTrouble;
  std::vector<Address> addresses = {};  // port 0
  std::string reason = {};              // of kNoName and kTrouble, for users
  base::Duration ttl{0};                // of kFound
};

class DnsCache {
 public:
  struct Options {
    std::size_t entries_max = 10'000;
    base::Duration ttl_min = std::chrono::seconds(1);
    base::Duration ttl_max = std::chrono::seconds(15);
    base::Duration negative_ttl = std::chrono::seconds(5);
    // How long after its end an answer may still serve while name servers are in trouble (RFC 8767).
    base::Duration stale_max = std::chrono::hours(1);
    // How long it then serves before the name servers are asked again (RFC 8767: 30 s).
    base::Duration stale_retry = std::chrono::seconds(30);
  };

  explicit DnsCache(const Options& options) : options_(options) {}

  // nullptr when nothing is known or it is too old. Valid until the next store().
  const DnsAnswer* find(std::string_view name, base::TimePoint now);
  // Whether there is an older good answer, should the name servers be in trouble.
  bool may_serve_stale(std::string_view name, base::TimePoint now) const;
  // Keeps the answer, if it is worth it. Returns what to tell those who asked: `answer`, or an older good one
  // when `answer` is trouble, which find() gives from then on as well, for a while. Valid until the next store() or,
  // for trouble, as long as `answer`.
  const DnsAnswer& store(std::string_view name, const DnsAnswer& answer, base::TimePoint now);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string name;
    DnsAnswer answer;
    base::TimePoint expires;
    base::TimePoint stale_until;
  };
  using Entries = std::list<Entry>;

  static bool is_usable(const Entry& entry, base::TimePoint now);
  void drop(Entries::iterator entry);

  Options options_;
  Entries entries_;  // least recently used first
  std::unordered_map<std::string_view, Entries::iterator> by_name_;
};

}  // namespace penstock::io
