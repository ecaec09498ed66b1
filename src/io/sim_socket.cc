#include "io/sim_socket.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/sim_loop.h"

namespace penstock::io {

namespace {

enum Trace : std::uint64_t { kArrive = 100, kArriveEnd, kArriveReset, kDeliver, kEnd, kDrained };

std::size_t random_between(base::Random& random, std::size_t least, std::size_t most) {
  return most <= least ? least : least + random.below(most - least + 1);
}

std::uint64_t hash_of(base::ByteView bytes) {
  return std::hash<std::string_view>()(base::as_text(bytes));
}

}  // namespace

SimSocket::SimSocket(SimWorld& world, std::string listener, PeerName local, PeerName peer)
    : world_(world),
      listener_(std::move(listener)),
      local_name_(std::move(local)),
      peer_name_(std::move(peer)),
      id_(world.add(*this)) {}

SimSocket::~SimSocket() {
  close();
  world_.remove(*this);
}

std::pair<std::shared_ptr<SimSocket>, std::shared_ptr<SimSocket>> SimSocket::make_pair(
    SimWorld& world, const PairNames& names) {
  auto a = std::make_shared<SimSocket>(world, names.listener, names.a, names.b);
  auto b = std::make_shared<SimSocket>(world, names.listener, names.b, names.a);
  a->other_ = b;
  b->other_ = a;
  auto& random = world.random();
  const SimFaults& faults = world.faults_for(names.listener);
  a->window_ = random_between(random, faults.window_min, faults.window_max);
  b->window_ = random_between(random, faults.window_min, faults.window_max);
  a->doom_ = b->doom_ = std::make_shared<std::optional<Doom>>();
  if (!world.chance(faults.doom_percent)) return {a, b};

  const auto kind = static_cast<SimDoom>(random.below(3));
  if (random.below(2) == 0) {
    a->doom_->emplace(kind, random.below(faults.doom_bytes_max));
  } else {
    const auto& end = random.below(2) == 0 ? a : b;
    world.after(world.random_duration({}, faults.doom_within), [weak = std::weak_ptr(end), kind] {
      if (const auto socket = weak.lock()) socket->meet_doom(kind);
    });
  }
  return {a, b};
}

// ---------------------------------------------------------------- upper half

void SimSocket::attach(SimLoop& loop) {
  loop_ = &loop;
  live_.emplace(loop);
  wake();
}

void SimSocket::detach() {
  if (is_linked()) unlink();
  sink_ = nullptr;
  loop_ = nullptr;
  live_.reset();
  awake_ = false;
  paused_ = false;
}

void SimSocket::set_sink(StreamSink& sink) {
  sink_ = &sink;
  wake();
}

void SimSocket::write(Chunk bytes) {
  if (bytes.empty() || closed_ || shutdown_wanted_) return;
  unsent_bytes_ += bytes.size();
  unsent_.push_back(std::move(bytes));
  loop_->flush_later(*this);
  loop_->flush_soon();
}

void SimSocket::pause() {
  if (!paused_) pieces_despite_pause_ = static_cast<int>(world_.random().below(2));
  paused_ = true;
}

void SimSocket::resume() {
  paused_ = false;
  wake();
}

void SimSocket::shutdown_sending() {
  shutdown_wanted_ = true;
  if (unsent_bytes_ == 0) send_end();
}

void SimSocket::close() {
  if (closed_) return;
  closed_ = true;
  sink_ = nullptr;
  if (is_linked()) unlink();
  unsent_.clear();
  unsent_bytes_ = 0;
  // As Linux does: bytes that nobody will read turn the end into a reset.
  if (inbox_size() > 0) {
    send_reset();
  } else {
    send_end();
  }
  live_.reset();
}

std::vector<Chunk> SimSocket::take_received() {
  std::vector<Chunk> received;
  if (inbox_size() > 0) {
    const auto bytes = base::ByteView(inbox_).subspan(inbox_start_);
    received.push_back(Chunk::copy_of(bytes));
    credit(bytes.size());
  }
  inbox_.clear();
  inbox_start_ = 0;
  return received;
}

void SimSocket::wake() {
  if (awake_ || closed_ || loop_ == nullptr) return;
  awake_ = true;
  loop_->complete([weak = weak_from_this()] {
    if (const auto socket = weak.lock()) socket->on_turn();
  });
}

void SimSocket::on_turn() {
  awake_ = false;
  if (sink_ == nullptr || ended_) return;
  if (send_failed_) {
    const base::Error error{.sqlstate = base::kConnectionFailure,
                            .message = "could not send to " + peer_name_.to_string() + ": Broken pipe"};
    return end(&error);
  }
  if (drained_) {
    drained_ = false;
    if (unsent_bytes_ == 0) {
      world_.trace(kDrained, id_);
      sink_->on_drained();
    }
  }
  deliver();
}

void SimSocket::deliver() {
  while (inbox_size() > 0) {
    if (sink_ == nullptr || ended_ || closed_) return;
    if (paused_ && pieces_despite_pause_-- <= 0) return;
    deliver_piece();
    if (world_.chance(20)) return wake();  // the rest in another turn
  }
  if (sink_ == nullptr || ended_ || closed_ || paused_) return;
  if (broken_) {
    const base::Error error{
        .sqlstate = base::kConnectionFailure,
        .message = "could not receive from " + peer_name_.to_string() + ": Connection reset by peer"};
    return end(&error);
  }
  if (end_arrived_) end(nullptr);
}

void SimSocket::deliver_piece() {
  auto& random = world_.random();
  std::size_t size = std::min(inbox_size(), world_.faults_for(listener_).piece_max);
  if (random.below(2) == 0) size = 1 + random.below(size);
  const auto chunk = Chunk::copy_of(base::ByteView(inbox_).subspan(inbox_start_, size));
  inbox_start_ += size;
  if (inbox_start_ == inbox_.size()) {
    inbox_.clear();
    inbox_start_ = 0;
  }
  credit(size);
  world_.trace(kDeliver, id_, size);
  sink_->on_data(chunk);
}

void SimSocket::end(const base::Error* error) {
  ended_ = true;
  world_.trace(kEnd, id_, error == nullptr ? 0 : 1);
  sink_->on_end(error);
}

// ---------------------------------------------------------------- the way out

base::TimePoint SimSocket::arrival_time() {
  const SimFaults& faults = world_.faults_for(listener_);
  auto delay = world_.random_duration(faults.latency_min, faults.latency_max);
  if (world_.chance(faults.stall_percent)) delay += world_.random_duration({}, faults.stall_max);
  last_arrival_ = std::max(last_arrival_, world_.now() + delay);
  return last_arrival_;
}

void SimSocket::transmit() {
  if (broken_ && unsent_bytes_ > 0) {
    unsent_.clear();
    unsent_bytes_ = 0;
    if (world_.chance(50)) send_failed_ = true;
    return wake();
  }
  if (unsent_bytes_ == 0) return;
  while (unsent_bytes_ > 0 && in_flight_ < window_ && !closed_) {
    std::size_t size = std::min(unsent_bytes_, window_ - in_flight_);
    if (world_.chance(30)) size = 1 + world_.random().below(size);
    send_piece(size);
  }
  if (unsent_bytes_ > 0) return;
  if (shutdown_wanted_) send_end();
  drained_ = true;
  wake();
}

void SimSocket::send_piece(std::size_t size) {
  if (doom_->has_value()) size = std::min(size, std::max<std::size_t>((*doom_)->bytes_left, 1));
  std::vector<std::uint8_t> bytes;
  bytes.reserve(size);
  while (bytes.size() < size) {
    Chunk& front = unsent_.front();
    const auto part = front.view().first(std::min(front.size(), size - bytes.size()));
    bytes.insert(bytes.end(), part.begin(), part.end());
    front.remove_prefix(part.size());
    if (front.empty()) unsent_.pop_front();
  }
  unsent_bytes_ -= size;
  in_flight_ += size;
  std::optional<SimDoom> met;
  if (doom_->has_value()) {
    auto& left = (*doom_)->bytes_left;
    left -= std::min(left, size);
    if (left == 0) met = (*doom_)->kind;
  }
  if (!silent_) {
    world_.at(arrival_time(), [to = other_, self = weak_from_this(), bytes = std::move(bytes)] {
      if (const auto socket = to.lock(); socket != nullptr && !socket->closed_) return socket->arrive(bytes);
      if (const auto sender = self.lock()) sender->arrive_reset();
    });
  }
  if (met.has_value()) meet_doom(*met);
}

void SimSocket::send_end() {
  if (end_sent_) return;
  end_sent_ = true;
  if (silent_) return;
  world_.at(arrival_time(), [to = other_] {
    if (const auto socket = to.lock()) socket->arrive_end();
  });
}

void SimSocket::send_reset() {
  end_sent_ = true;
  if (silent_) return;
  world_.at(arrival_time(), [to = other_] {
    if (const auto socket = to.lock()) socket->arrive_reset();
  });
}

// ---------------------------------------------------------------- the way in

void SimSocket::arrive(const std::vector<std::uint8_t>& bytes) {
  if (silent_ || broken_) return;
  world_.trace(kArrive, id_, hash_of(bytes));
  inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
  wake();
}

void SimSocket::arrive_end() {
  if (silent_ || broken_) return;
  world_.trace(kArriveEnd, id_);
  end_arrived_ = true;
  wake();
}

void SimSocket::arrive_reset() {
  if (silent_ || broken_ || closed_) return;
  world_.trace(kArriveReset, id_);
  broken_ = true;
  if (world_.chance(50)) {
    inbox_.clear();  // not every system lets one read what came before the reset
    inbox_start_ = 0;
  }
  if (unsent_bytes_ > 0) return transmit();
  wake();
}

// The reader has taken bytes: the writer may send as many more.
void SimSocket::credit(std::size_t bytes) {
  const auto writer = other_.lock();
  if (writer == nullptr || silent_) return;
  if (writer->unsent_bytes_ == 0) {
    writer->in_flight_ -= std::min(writer->in_flight_, bytes);
    return;
  }
  world_.at(arrival_time(), [weak = std::weak_ptr(writer), bytes] {
    const auto socket = weak.lock();
    if (socket == nullptr || socket->closed_) return;
    socket->in_flight_ -= std::min(socket->in_flight_, bytes);
    if (socket->unsent_bytes_ > 0) socket->transmit();
  });
}

// ---------------------------------------------------------------- dooms

void SimSocket::meet_doom(SimDoom kind) {
  doom_->reset();
  if (world_.healed() || closed_) return;
  const auto other = other_.lock();
  switch (kind) {
    case SimDoom::kReset:
      return reset_both();
    case SimDoom::kEnd:
      unsent_.clear();
      unsent_bytes_ = 0;
      send_end();
      return arrive_reset();
    case SimDoom::kSilence:
      silent_ = true;
      if (other != nullptr) other->silent_ = true;
  }
}

void SimSocket::reset_both() {
  const auto keep = shared_from_this();
  if (const auto other = other_.lock()) {
    other->silent_ = false;
    other->arrive_reset();
  }
  silent_ = false;
  arrive_reset();
}

void SimSocket::end_silence() {
  doom_->reset();
  if (silent_) reset_both();
}

std::string SimSocket::describe() const {
  return fmt::format("socket {} {} -> {} (listener {}): unsent {}, in flight {}, inbox {}{}{}{}{}{}", id_,
                     local_name_.to_string(), peer_name_.to_string(), listener_, unsent_bytes_, in_flight_,
                     inbox_size(), paused_ ? ", paused" : "", end_arrived_ ? ", end arrived" : "",
                     broken_ ? ", reset" : "", silent_ ? ", silent" : "",
                     loop_ == nullptr ? ", detached" : "");
}

Loop& SimStream::loop() {
  return *socket_->loop();
}

}  // namespace penstock::io
