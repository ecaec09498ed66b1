// SimSocket is one end of a simulated connection: what a kernel's socket is to a real one.
//
// Its upper half (write, pause, sink) is called by the SimStream in turns of its loop; its lower half
// (arrive…) by network events of the world. A connection is two of them that know each other weakly: an end
// that is gone answers with a reset.
//
// Owner:      the SimStream, by shared_ptr; the world's descriptor table while detached; an accept or connect
//             under way.
// Home:       LOOP
// Invariants: 1. Bytes of one direction arrive in order, then the end, or a reset instead.
//             2. in_flight_ never exceeds window_: that is the backpressure.
//             3. After on_end no callback comes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/loop.h"
#include "io/sim_faults.h"
#include "io/sim_world.h"

namespace penstock::io {

class SimLoop;

class SimSocket final : public Flushable, public std::enable_shared_from_this<SimSocket> {
 public:
  struct PairNames {
    std::string listener;  // whose faults apply
    PeerName a;            // the connecting end's own name
    PeerName b;            // the accepting end's own name
  };
  static std::pair<std::shared_ptr<SimSocket>, std::shared_ptr<SimSocket>> make_pair(SimWorld& world,
                                                                                     const PairNames& names);
  SimSocket(SimWorld& world, std::string listener, PeerName local, PeerName peer);
  ~SimSocket();

  // --- upper half ---
  void attach(SimLoop& loop);
  void detach();
  void set_sink(StreamSink& sink);
  void write(Chunk bytes);
  void pause();
  void resume();
  void shutdown_sending();
  void close();
  void flush() override { transmit(); }
  std::size_t unsent() const { return unsent_bytes_; }
  bool told_end() const { return ended_; }
  bool has_ended() const { return ended_ || broken_ || (end_arrived_ && inbox_size() == 0); }
  std::vector<Chunk> take_received();
  // A turn of the loop: what has happened since the last one.
  void on_turn();

  // --- lower half ---
  void reset_both();
  void end_silence();

  std::uint64_t id() const { return id_; }
  const std::string& listener() const { return listener_; }
  const PeerName& peer_name() const { return peer_name_; }
  const PeerName& local_name() const { return local_name_; }
  SimLoop* loop() const { return loop_; }
  std::string describe() const;

 private:
  struct Doom {
    SimDoom kind;
    std::size_t bytes_left;  // of both directions
  };

  void transmit();
  void send_piece(std::size_t size);
  void send_end();
  void send_reset();
  void meet_doom(SimDoom kind);
  base::TimePoint arrival_time();

  void arrive(const std::vector<std::uint8_t>& bytes);
  void arrive_end();
  void arrive_reset();
  void credit(std::size_t bytes);

  void wake();
  void deliver();
  void deliver_piece();
  void end(const base::Error* error);
  std::size_t inbox_size() const { return inbox_.size() - inbox_start_; }

  SimWorld& world_;
  const std::string listener_;
  const PeerName local_name_;
  const PeerName peer_name_;
  const std::uint64_t id_;
  std::weak_ptr<SimSocket> other_;
  SimLoop* loop_ = nullptr;
  std::optional<Loop::Live> live_;
  StreamSink* sink_ = nullptr;

  // Sending.
  std::deque<Chunk> unsent_;
  std::size_t unsent_bytes_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t window_ = 0;
  base::TimePoint last_arrival_{};
  std::shared_ptr<std::optional<Doom>> doom_;  // one for both ends

  // Receiving.
  std::vector<std::uint8_t> inbox_;
  std::size_t inbox_start_ = 0;
  int pieces_despite_pause_ = 0;

  bool awake_ : 1 = false;  // a turn is due
  bool paused_ : 1 = false;
  bool drained_ : 1 = false;  // on_drained is due
  bool shutdown_wanted_ : 1 = false;
  bool end_sent_ : 1 = false;
  bool end_arrived_ : 1 = false;
  bool broken_ : 1 = false;       // a reset arrived
  bool send_failed_ : 1 = false;  // a write met the reset before the reader did
  bool ended_ : 1 = false;
  bool closed_ : 1 = false;
  bool silent_ : 1 = false;
};

// The Stream face of a SimSocket.
class SimStream final : public Stream {
 public:
  explicit SimStream(std::shared_ptr<SimSocket> socket) : socket_(std::move(socket)) {}
  ~SimStream() override {
    if (socket_ != nullptr) socket_->close();
  }
  void set_sink(StreamSink& sink) override { socket_->set_sink(sink); }
  using Stream::write;
  void write(Chunk bytes) override { socket_->write(std::move(bytes)); }
  std::size_t unsent() const override { return socket_->unsent(); }
  bool has_ended() const override { return socket_->told_end(); }
  void pause_receiving() override { socket_->pause(); }
  void resume_receiving() override { socket_->resume(); }
  void shutdown_sending() override { socket_->shutdown_sending(); }
  const PeerName& peer() const override { return socket_->peer_name(); }
  PeerName local() const override { return socket_->local_name(); }
  Loop& loop() override;
  bool movable() const override { return true; }
  std::shared_ptr<SimSocket> give_up() { return std::move(socket_); }

 private:
  std::shared_ptr<SimSocket> socket_;
};

}  // namespace penstock::io
