// ScramKeys are the two keys a SCRAM password comes down to; ScramKeyCache remembers them, because deriving
// them is the one expensive step of a login.
//
// Without the cache, 1,000 upstream logins of one user after a failover would each spend 4,096 hash
// iterations (0.4 ms, or 60 ms with 600,000 iterations) on the same answer.
//
// Owner:      ScramKeyCache: the process; workers share it by reference.
// Home:       SYNC (one mutex, never held while deriving; two threads that miss at once both derive).
// Invariants: no password is stored: an entry is found by an HMAC of it under a key of this process.
// Bounds:     `capacity` entries of about 200 bytes; the least recently used one makes room.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <list>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "auth/secret.h"
#include "base/random.h"

namespace penstock::auth {

struct ScramKeys {
  Key client_key;  // whoever has it can log in as the user
  Key server_key;

  Key stored_key() const;
  ScramVerifier verifier(std::string_view salt, int iterations) const;
};

// RFC 5802, section 3; the password is prepared by SASLprep first.
ScramKeys derive_keys(std::string_view password, std::string_view salt, int iterations);

class ScramKeyCache {
 public:
  explicit ScramKeyCache(base::Random& random, std::size_t capacity = 1024);

  ScramKeys keys(std::string_view password, std::string_view salt, int iterations);

  struct Counts {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t evictions = 0;
  };
  Counts counts() const;

 private:
  struct Entry {
    Key name;
    ScramKeys keys;
  };
  using Order = std::list<Entry>;  // most recently used first
  struct NameHash {
    std::size_t operator()(const Key& name) const {
      std::size_t hash;
      std::memcpy(&hash, name.data(), sizeof(hash));
      return hash;
    }
  };

  const std::size_t capacity_;
  Key naming_key_;
  mutable std::mutex mutex_;
  Order order_;                                                 // guarded by mutex_
  std::unordered_map<Key, Order::iterator, NameHash> entries_;  // guarded by mutex_
  Counts counts_;                                               // guarded by mutex_
};

}  // namespace penstock::auth
