// EpollSocket: one connection on an epoll loop; the Stream its owner holds is a face of it.
//
// Owner:      itself: freed at the end of the turn in which the stream was destroyed (events of the same turn
//             may still name it).
// Home:       LOOP
#pragma once

#include "io/epoll_loop.h"
#include "io/send_queue.h"

namespace penstock::io {

class EpollSocket final : public EpollOwner, public Flushable {
 public:
  EpollSocket(EpollLoop& loop, int descriptor, PeerName peer);

  void set_sink(StreamSink& sink);
  void write(Chunk bytes);
  void pause();
  void resume();
  void shutdown_sending();
  void close();  // the stream is gone: no more callbacks
  int take_out();
  std::size_t unsent() const { return queue_.bytes(); }
  bool has_ended() const { return ended_; }
  const PeerName& peer() const { return peer_; }
  int descriptor() const { return descriptor_; }
  EpollLoop& loop() { return loop_; }

  void flush() override;
  void on_ready(std::uint32_t events) override;

 private:
  void on_readable();
  void end(const base::Error* error);
  void try_shutdown();
  void update_interest();

  EpollLoop& loop_;
  Loop::Live live_{loop_};
  StreamSink* sink_ = nullptr;
  SendQueue queue_;
  PeerName peer_;
  int descriptor_;
  std::uint32_t interest_ = 0;
  bool watched_ = false;
  bool paused_ = false;
  bool blocked_ = false;  // the kernel's send buffer is full
  bool ended_ = false;
  bool shutdown_wanted_ = false;
  bool shutdown_done_ = false;
  bool closed_ = false;
};

class EpollStream final : public Stream {
 public:
  explicit EpollStream(EpollSocket* socket) : socket_(socket) {}
  ~EpollStream() override {
    if (socket_ != nullptr) socket_->close();
  }
  void set_sink(StreamSink& sink) override { socket_->set_sink(sink); }
  void write(Chunk bytes) override { socket_->write(std::move(bytes)); }
  std::size_t unsent() const override { return socket_->unsent(); }
  bool has_ended() const override { return socket_->has_ended(); }
  void pause_receiving() override { socket_->pause(); }
  void resume_receiving() override { socket_->resume(); }
  void shutdown_sending() override { socket_->shutdown_sending(); }
  const PeerName& peer() const override { return socket_->peer(); }
  PeerName local() const override;
  Loop& loop() override { return socket_->loop(); }
  bool movable() const override { return true; }
  EpollSocket* give_up() { return std::exchange(socket_, nullptr); }

 private:
  EpollSocket* socket_;
};

}  // namespace penstock::io
