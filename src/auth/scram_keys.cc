#include "auth/scram_keys.h"

#include <string>

#include "auth/crypto.h"
#include "auth/saslprep.h"
#include "base/assert.h"

namespace penstock::auth {

Key ScramKeys::stored_key() const {
  return sha256(client_key.view());
}

ScramVerifier ScramKeys::verifier(std::string_view salt, int iterations) const {
  return ScramVerifier{.iterations = iterations,
                       .salt = std::string(salt),
                       .stored_key = stored_key(),
                       .server_key = server_key};
}

ScramKeys derive_keys(std::string_view password, std::string_view salt, int iterations) {
  const WipedText prepared = saslprep(password);
  const Key salted = pbkdf2_sha256(prepared.view(), base::as_bytes(salt), iterations);
  return ScramKeys{.client_key = hmac_sha256(salted.view(), {"Client Key"}),
                   .server_key = hmac_sha256(salted.view(), {"Server Key"})};
}

ScramKeyCache::ScramKeyCache(base::Random& random, std::size_t capacity) : capacity_(capacity) {
  PENSTOCK_ASSERT(capacity > 0);
  random.fill({naming_key_.data(), Key::kSize});
}

ScramKeys ScramKeyCache::keys(std::string_view password, std::string_view salt, int iterations) {
  const std::string numbers = std::to_string(salt.size()) + ":" + std::to_string(iterations) + ":";
  const Key name = hmac_sha256(naming_key_.view(), {numbers, salt, password});
  {
    const std::lock_guard lock(mutex_);
    if (auto found = entries_.find(name); found != entries_.end()) {
      ++counts_.hits;
      order_.splice(order_.begin(), order_, found->second);
      return found->second->keys;
    }
    ++counts_.misses;
  }

  const ScramKeys keys = derive_keys(password, salt, iterations);
  const std::lock_guard lock(mutex_);
  if (entries_.contains(name)) return keys;
  order_.push_front(Entry{.name = name, .keys = keys});
  entries_.emplace(name, order_.begin());
  if (entries_.size() > capacity_) {
    ++counts_.evictions;
    entries_.erase(order_.back().name);
    order_.pop_back();
  }
  return keys;
}

ScramKeyCache::Counts ScramKeyCache::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace penstock::auth
