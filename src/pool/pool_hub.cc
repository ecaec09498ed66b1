#include "pool/pool_hub.h"

#include <algorithm>

namespace penstock::pool {

int PoolHub::longest_waiting(unsigned me, std::int64_t before) const {
  int found = -1;
  for (unsigned i = 0; i < kWorkersMax; ++i) {
    if (i == me) continue;
    const std::int64_t since = seats_[i].waiting_since.load(std::memory_order_relaxed);
    if (since != 0 && since < before) {
      before = since;
      found = static_cast<int>(i);
    }
  }
  return found;
}

int PoolHub::some_idle(unsigned me) const {
  for (unsigned i = 0; i < kWorkersMax; ++i) {
    if (i != me && seats_[i].idle.load(std::memory_order_relaxed) > 0) return static_cast<int>(i);
  }
  return -1;
}

void PoolHub::set_parameters(std::shared_ptr<const upstream::ServerParameters> parameters) {
  const std::lock_guard lock(mutex_);
  parameters_ = std::move(parameters);
}

std::shared_ptr<const upstream::ServerParameters> PoolHub::parameters() const {
  const std::lock_guard lock(mutex_);
  return parameters_;
}

std::shared_ptr<PoolHub> PoolDirectory::hub(const std::string& key) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<PoolHub>& slot = hubs_[key];
  std::shared_ptr<PoolHub> hub = slot.lock();
  if (hub == nullptr) {
    hub = std::make_shared<PoolHub>();
    slot = hub;
    if (hubs_.size() > drop_at_) {
      std::erase_if(hubs_, [](const auto& entry) { return entry.second.expired(); });
      drop_at_ = std::max<std::size_t>(1024, hubs_.size() * 2);
    }
  }
  return hub;
}

}  // namespace penstock::pool
