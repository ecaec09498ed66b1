// CancelRegistry knows which client a cancel key belongs to, whichever worker the client is on.
//
// Owner:      the server; all workers share it.
// Home:       SYNC (one mutex per shard; touched at log-in, log-out and cancel only)
// Invariants: 1. Process ids are unique among the clients that are registered.
//             2. A key is an HMAC of the session, under a secret of this process: it need not be kept, and is
//                compared in constant time.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "auth/crypto.h"
#include "base/random.h"

namespace penstock::session {

struct CancelKey {
  std::uint32_t process_id = 0;
  std::string key;  // 4 bytes (protocol 3.0) or 32 (3.2)
};

class CancelRegistry {
 public:
  struct Owner {
    unsigned worker = 0;
    std::uint64_t session = 0;
  };
  static constexpr std::size_t kKeyBytesMax = auth::Key::kSize;

  explicit CancelRegistry(base::Random& random) { random.fill({secret_.data(), auth::Key::kSize}); }
  CancelKey add(Owner owner, std::size_t key_bytes, base::Random& random);
  void remove(std::uint32_t process_id);
  void move(std::uint32_t process_id, Owner owner);
  std::optional<Owner> find(std::uint32_t process_id, std::string_view key) const;

 private:
  struct Entry {
    std::uint64_t session;
    std::uint8_t worker;
    std::uint8_t key_bytes;
  };
  struct Shard {
    mutable std::mutex mutex;
    boost::unordered_flat_map<std::uint32_t, Entry> entries;  // guarded by mutex
  };
  static constexpr std::size_t kShards = 64;
  std::string key_of(std::uint32_t process_id, const Entry& entry) const;
  auth::Key secret_;
  std::array<Shard, kShards> shards_;
};

}  // namespace penstock::session
