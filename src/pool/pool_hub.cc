#include "pool/pool_hub.h"

namespace penstock::pool {

PoolHub::Seat& PoolHub::sit_down(unsigned worker, Pool& shard, io::Loop& loop) {
  Seat& seat = seats_[worker];
  seat.loop.store(&loop, std::memory_order_release);
  seat.shard.store(&shard, std::memory_order_release);
  return seat;
}

int PoolHub::longest_waiting(unsigned me, std::int64_t before) const {
  int found = -1;
  for (unsigned i = 0; i < seats_.size(); ++i) {
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
  for (unsigned i = 0; i < seats_.size(); ++i) {
    if (i != me && seats_[i].idle.load(std::memory_order_relaxed) > 0) return static_cast<int>(i);
  }
  return -1;
}

bool PoolHub::enlist(Ledger& ledger, const std::string& tenant, int max_pools) {
  const std::lock_guard lock(mutex_);
  if (!place_) place_ = Reservation::take(ledger.scopes({"pools of tenant " + tenant}), {max_pools});
  return static_cast<bool>(place_);
}

void PoolHub::set_parameters(std::shared_ptr<const upstream::ServerParameters> parameters) {
  const std::lock_guard lock(mutex_);
  parameters_ = std::move(parameters);
}

std::shared_ptr<const upstream::ServerParameters> PoolHub::parameters() const {
  const std::lock_guard lock(mutex_);
  return parameters_;
}

std::shared_ptr<PoolHub> PoolDirectory::hub(const std::string& key, const std::string& database) {
  return hubs_.find_or_make(key, [&] {
    auto schema = schemas_.find_or_make(database, [] { return std::make_shared<upstream::Schema>(); });
    return std::make_shared<PoolHub>(std::move(schema), workers_);
  });
}

}  // namespace penstock::pool
