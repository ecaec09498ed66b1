// Resolver turns the host of a HostPort into addresses without ever making a loop wait.
//
// "192.0.2.1", "::1", "[::1]", "/directory" and "@abstract" need no look-up (and no thread: it starts with
// the first real name). A directory or abstract name means the socket "<host>/.s.PGSQL.<port>", as in libpq.
// Names are looked up as the system would (see dns_channel.h), cached for their TTL within bounds, and asked
// once however many want them.
//
// Owner:      server, by value; outlives all loops' use of it, but not necessarily the handles.
// Home:       SYNC (one mutex over cache and waiting list; never held while c-ares works)
// Invariants: 1. The callback comes at most once, on the loop that asked, never from within resolve().
//             2. After the handle is destroyed the callback never comes and the loop is not touched again.
// Waits:      until answer, deadline, or the resolver's end, whichever is first; with an older good address at hand
//             for stale_patience at most.
// Errors:     08006 `could not translate host name "x" to address: reason`; 22023 for socket paths too long;
//             53000 when names_max is reached; 57P01 when the resolver ends.
// Bounds:     names_max names looked up at a time; cache.entries_max remembered.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "io/address.h"
#include "io/dns_cache.h"
#include "io/dns_channel.h"
#include "io/loop.h"

namespace penstock::io {

struct ResolverOptions {
  DnsCache::Options cache;
  DnsChannelOptions channel;
  std::size_t names_max = 10'000;
  // Who asks for a name with an older good address waits no longer than this for a newer one (RFC 8767: 1.8 s).
  base::Duration stale_patience = std::chrono::milliseconds(1800);
};

// A look-up under way. Home: the asking loop's thread. Destroying it gives up.
class Resolving {
 public:
  virtual ~Resolving() = default;
};
using ResolveDone = std::move_only_function<void(base::Result<std::vector<Address>>)>;

class Resolver {
 public:
  explicit Resolver(const ResolverOptions& options = {});
  ~Resolver();  // those still waiting are told 57P01
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Called on `loop`'s thread. The addresses, all with `port`, are in the order in which to try them; never
  // empty.
  [[nodiscard]] std::unique_ptr<Resolving> resolve(std::string_view host, std::uint16_t port, Loop& loop,
                                                   base::TimePoint deadline, ResolveDone done);

  struct Counts {
    std::uint64_t hits = 0;     // answered from the cache
    std::uint64_t joined = 0;   // joined a look-up already under way
    std::uint64_t lookups = 0;  // looked up
    std::uint64_t refused = 0;  // names_max was reached
    std::size_t cached = 0;     // entries now
    std::size_t under_way = 0;  // names now
  };
  Counts counts() const;

 private:
  struct Shared;
  class Request;

  std::shared_ptr<Shared> shared_;
};

}  // namespace penstock::io
