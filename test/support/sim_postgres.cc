#include "support/sim_postgres.h"

#include <utility>

#include "base/assert.h"
#include "support/sim_backend.h"

namespace penstock::sim {

SimPostgres::SimPostgres(io::SimLoop& loop, Checkers& checkers, SimPostgresOptions options)
    : loop_(loop), checkers_(checkers), options_(std::move(options)) {
  start();
}

SimPostgres::~SimPostgres() = default;

void SimPostgres::start() {
  if (is_up()) return;
  auto listener = loop_.listen(options_.address, {}, *this);
  PENSTOCK_ASSERT(listener.has_value());
  listener_ = *std::move(listener);
}

void SimPostgres::crash() {
  listener_.reset();
  world().reset_accepted_by(options_.address);
  std::exchange(backends_, {}).clear();
}

bool SimPostgres::terminate_one() {
  if (backends_.empty()) return false;
  auto victim = backends_.begin();
  std::advance(victim, world().random().below(backends_.size()));
  victim->second->terminate();
  return true;
}

void SimPostgres::heal() {
  options_.die_per_mille = 0;
  options_.refuse_percent = 0;
  start();
}

void SimPostgres::on_accept(io::StreamPtr stream) {
  const auto pid = ++last_pid_;
  const auto backend = backends_.emplace(pid, std::make_unique<SimBackend>(*this, pid, std::move(stream)));
  backend.first->second->start();
}

void SimPostgres::forget(std::uint32_t pid) {
  const auto backend = backends_.find(pid);
  if (backend == backends_.end()) return;
  loop_.defer([gone = std::move(backend->second)] {});
  backends_.erase(backend);
}

void SimPostgres::cancel(std::uint32_t pid, const std::string& key) {
  const auto backend = backends_.find(pid);
  if (backend != backends_.end()) backend->second->cancel(key);
}

void SimPostgres::notify(std::uint32_t from_pid, const std::string& channel, const std::string& payload) {
  for (const auto& [pid, backend] : backends_) backend->on_notify(from_pid, channel, payload);
}

}  // namespace penstock::sim
