#include "io/sim_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "io/sim_loop.h"
#include "io/sim_socket.h"

namespace penstock::io {

SimWorld::SimWorld(std::uint64_t seed) : random_(seed), now_(std::chrono::hours(1'000)) {}

SimWorld::~SimWorld() {
  descriptors_.clear();
  // What an event holds may, on dying, cause further ones.
  while (!events_.empty()) std::exchange(events_, {}).clear();
  PENSTOCK_ASSERT(loops_.empty());
}

std::unique_ptr<SimLoop> SimWorld::make_loop(std::string name) {
  auto& random = loop_randoms_.emplace_back(random_.next_u64());
  auto loop = std::make_unique<SimLoop>(*this, std::move(name), random);
  loops_.push_back(loop.get());
  return loop;
}

void SimWorld::remove(SimLoop& loop) {
  std::erase(loops_, &loop);
}

std::pair<int, int> SimWorld::socket_pair() {
  auto [a, b] =
      SimSocket::make_pair(*this, {.listener = "pair", .a = {.address = "unix"}, .b = {.address = "unix"}});
  return {put_descriptor(std::move(a)), put_descriptor(std::move(b))};
}

base::Duration SimWorld::random_duration(base::Duration least, base::Duration most) {
  if (most <= least) return least;
  return least + base::Duration(static_cast<std::int64_t>(
                     random_.below(static_cast<std::uint64_t>((most - least).count()))));
}

void SimWorld::at(base::TimePoint time, std::move_only_function<void()> call) {
  events_.push_back({std::max(time, now_), ++last_order_, std::move(call)});
  std::push_heap(events_.begin(), events_.end());
}

// The loop to turn next and when; of several at the same time any one.
SimLoop* SimWorld::next_loop(base::TimePoint& time) {
  time = base::kNever;
  SimLoop* next = nullptr;
  std::uint64_t equals = 0;
  for (SimLoop* loop : loops_) {
    const auto turn = loop->next_turn();
    if (turn == base::kNever || turn > time) continue;
    equals = turn < time ? 1 : equals + 1;
    time = turn;
    if (equals == 1 || random_.below(equals) == 0) next = loop;
  }
  return next;
}

bool SimWorld::step(base::TimePoint limit) {
  base::TimePoint turn_time;
  SimLoop* loop = next_loop(turn_time);
  const auto event_time = events_.empty() ? base::kNever : events_.front().time;
  const auto time = std::min(turn_time, event_time);
  if (time == base::kNever || time > limit) return false;
  now_ = std::max(now_, time);
  ++steps_;
  if (loop != nullptr && turn_time < event_time) {
    loop->turn();
    return true;
  }
  std::pop_heap(events_.begin(), events_.end());
  auto call = std::move(events_.back().call);
  events_.pop_back();
  call();
  return true;
}

void SimWorld::run_until(base::TimePoint limit) {
  while (step(limit)) {
  }
  now_ = std::max(now_, limit);
}

bool SimWorld::run_until(const std::function<bool()>& condition, base::TimePoint limit) {
  while (!condition()) {
    if (!step(limit)) return false;
  }
  return true;
}

void SimWorld::heal() {
  healed_ = true;
  faults_by_address_.clear();
  faults_ = SimFaults::calm(random_);
  for (const auto& [id, socket] : std::map(sockets_)) {
    if (sockets_.contains(id)) socket->end_silence();
  }
}

void SimWorld::reset_accepted_by(const Address& listener) {
  const auto name = listener.to_string();
  for (const auto& [id, socket] : std::map(sockets_)) {
    if (sockets_.contains(id) && socket->listener() == name) socket->reset_both();
  }
}

std::vector<std::string> SimWorld::describe_open_sockets() const {
  std::vector<std::string> lines;
  for (const auto& [id, socket] : sockets_) lines.push_back(socket->describe());
  return lines;
}

const SimFaults& SimWorld::faults_for(const std::string& listener) const {
  const auto own = faults_by_address_.find(listener);
  return own == faults_by_address_.end() ? faults_ : own->second;
}

// FNV-1a over what happens, when and in which order.
void SimWorld::trace(std::uint64_t kind, std::uint64_t a, std::uint64_t b) {
  for (const auto value : {kind, a, b, static_cast<std::uint64_t>(now_.time_since_epoch().count())}) {
    trace_hash_ = (trace_hash_ ^ value) * 0x100000001b3;
    trace_hash_ ^= trace_hash_ >> 29;
  }
}

void SimWorld::add(SimListener& listener) {
  listeners_[listener.address().to_string()].push_back(&listener);
}

void SimWorld::remove(SimListener& listener) {
  const auto found = listeners_.find(listener.address().to_string());
  std::erase(found->second, &listener);
  if (found->second.empty()) listeners_.erase(found);
}

bool SimWorld::is_taken(const Address& address) const {
  return listeners_.contains(address.to_string());
}

// The listener for a connect to `address`: one that has it, or else one on all addresses.
SimListener* SimWorld::find_listener(const Address& address) {
  auto found = listeners_.find(address.to_string());
  if (found == listeners_.end() && !address.is_unix()) {
    const bool v6 = address.family() == AF_INET6;
    found = listeners_.find(Address::from_ip(v6 ? "::" : "0.0.0.0", address.port())->to_string());
  }
  if (found == listeners_.end()) return nullptr;
  return found->second[random_.below(found->second.size())];
}

std::uint64_t SimWorld::add(SimSocket& socket) {
  sockets_.emplace(++last_socket_, &socket);
  return last_socket_;
}

void SimWorld::remove(SimSocket& socket) {
  sockets_.erase(socket.id());
}

int SimWorld::put_descriptor(std::shared_ptr<SimSocket> socket) {
  descriptors_.emplace(++last_descriptor_, std::move(socket));
  return last_descriptor_;
}

std::shared_ptr<SimSocket> SimWorld::take_descriptor(int descriptor) {
  const auto found = descriptors_.find(descriptor);
  if (found == descriptors_.end()) return nullptr;
  auto socket = std::move(found->second);
  descriptors_.erase(found);
  return socket;
}

}  // namespace penstock::io
