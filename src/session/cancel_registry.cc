#include "session/cancel_registry.h"

#include <openssl/crypto.h>

namespace penstock::session {

CancelKey CancelRegistry::add(Owner owner, std::size_t key_bytes, base::Random& random) {
  CancelKey result;
  result.key.resize(key_bytes);
  random.fill({reinterpret_cast<std::uint8_t*>(result.key.data()), key_bytes});
  for (;;) {
    // Positive, as some clients keep it in a signed integer and take 0 for "none".
    const auto process_id = static_cast<std::uint32_t>(random.next_u64() & 0x7fffffffU);
    if (process_id == 0) continue;
    Shard& shard = shards_[process_id % kShards];
    const std::lock_guard lock(shard.mutex);
    if (shard.entries.try_emplace(process_id, Entry{.key = result.key, .owner = owner}).second) {
      result.process_id = process_id;
      return result;
    }
  }
}

void CancelRegistry::remove(std::uint32_t process_id) {
  Shard& shard = shards_[process_id % kShards];
  const std::lock_guard lock(shard.mutex);
  shard.entries.erase(process_id);
}

void CancelRegistry::move(std::uint32_t process_id, Owner owner) {
  Shard& shard = shards_[process_id % kShards];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(process_id);
  if (found != shard.entries.end()) found->second.owner = owner;
}

std::optional<CancelRegistry::Owner> CancelRegistry::find(std::uint32_t process_id,
                                                          std::string_view key) const {
  const Shard& shard = shards_[process_id % kShards];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(process_id);
  if (found == shard.entries.end() || found->second.key.size() != key.size() ||
      CRYPTO_memcmp(found->second.key.data(), key.data(), key.size()) != 0) {
    return std::nullopt;
  }
  return found->second.owner;
}

}  // namespace penstock::session
