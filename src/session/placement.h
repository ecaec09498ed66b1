// Placement: which worker a session settles on after its log-in.
//
// The kernel spreads new connections over all workers. A small pool is better off on one: its clients then
// find its servers where they are, in order of arrival, and no connection need move. A large pool uses all
// workers. Ranking the workers anew for each pool (rendezvous hashing) spreads many small pools evenly.
//
// Home: any thread (pure).
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::session {

struct PlacementQuestion {
  std::string_view pool;  // its key
  int pool_size = 0;      // server connections over all workers; 0: no limit
  unsigned workers = 1;   // of the process
  unsigned here = 0;      // where the session is
  std::uint64_t session = 0;
};

// One worker per kUpstreamsPerWorker server connections; where the session is already, if that is one of
// them.
inline constexpr int kUpstreamsPerWorker = 8;
unsigned choose_worker(const PlacementQuestion& question);

}  // namespace penstock::session
