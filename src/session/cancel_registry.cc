#include "session/cancel_registry.h"

#include <cstring>

#include "base/assert.h"

namespace penstock::session {

std::string CancelRegistry::key_of(std::uint32_t process_id, const Entry& entry) const {
  std::array<char, sizeof(process_id) + sizeof(entry.session)> text{};
  std::memcpy(text.data(), &process_id, sizeof(process_id));
  std::memcpy(text.data() + sizeof(process_id), &entry.session, sizeof(entry.session));
  const auth::Key mac =
      auth::hmac_sha256({secret_.data(), auth::Key::kSize}, {std::string_view(text.data(), text.size())});
  return {reinterpret_cast<const char*>(mac.data()), entry.key_bytes};
}

CancelKey CancelRegistry::add(Owner owner, std::size_t key_bytes, base::Random& random) {
  PENSTOCK_ASSERT(key_bytes <= kKeyBytesMax);
  const Entry entry{.session = owner.session,
                    .worker = static_cast<std::uint8_t>(owner.worker),
                    .key_bytes = static_cast<std::uint8_t>(key_bytes)};
  for (;;) {
    // Positive, as some clients keep it in a signed integer and take 0 for "none".
    const auto process_id = static_cast<std::uint32_t>(random.next_u64() & 0x7fffffffU);
    if (process_id == 0) continue;
    Shard& shard = shards_[process_id % kShards];
    const std::lock_guard lock(shard.mutex);
    if (shard.entries.try_emplace(process_id, entry).second) {
      return {.process_id = process_id, .key = key_of(process_id, entry)};
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
  if (found != shard.entries.end()) found->second.worker = static_cast<std::uint8_t>(owner.worker);
}

std::optional<CancelRegistry::Owner> CancelRegistry::find(std::uint32_t process_id,
                                                          std::string_view key) const {
  const Shard& shard = shards_[process_id % kShards];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(process_id);
  if (found == shard.entries.end()) return std::nullopt;
  const Entry& entry = found->second;
  const std::string right = key_of(process_id, entry);
  if (!auth::equal_in_constant_time(right, key)) return std::nullopt;
  return Owner{.worker = entry.worker, .session = entry.session};
}

}  // namespace penstock::session
