// UringSocket: one connection on an io_uring loop, alive until its last completion is in.
//
// The owner above io holds a UringStream (the Stream); destroying that closes the socket, which then outlives
// it until the kernel has let go of its buffers.
//
// Owner:      itself (deletes itself when closed and nothing is under way).
// Home:       LOOP
// Invariants: at most one receive and one send under way; `under_way_` counts all operations not completed.
#pragma once

#include <optional>
#include <vector>

#include "io/send_queue.h"
#include "io/uring_loop.h"

namespace penstock::io {

class UringSocket final : public UringOwner, public Flushable {
 public:
  // A socket already in the ring's table.
  UringSocket(UringLoop& loop, int slot, PeerName peer);
  // A descriptor still to be put into the table; it is closed here.
  static UringSocket* install(UringLoop& loop, int descriptor, PeerName peer);

  void set_sink(StreamSink& sink);
  void write(Chunk bytes);
  void pause();
  void resume();
  void shutdown_sending();
  void close();  // the stream is gone: no more callbacks
  std::size_t unsent() const { return queue_.bytes(); }
  void want_drained();
  bool has_ended() const { return ended_; }
  const PeerName& peer() const { return peer_; }
  UringLoop& loop() { return loop_; }
  void receive();  // arms the multishot receive when it may run
  void take_out(std::move_only_function<void(base::Result<Loop::Detached>)> done);

  void flush() override;
  void on_complete(unsigned operation, int result, unsigned flags) override;

 private:
  enum Operation : unsigned { kReceive, kSend, kShutdown, kInstall, kTakeOut, kClose };
  template <class Prepare>
  void submit(Operation operation, Prepare prepare);
  static constexpr std::size_t kPiecesMax = 1024;  // IOV_MAX
  static constexpr std::size_t kSmallSend = 16 * 1024;
  struct Sending {
    std::vector<iovec> pieces;
    msghdr header;
  };

  void stop_receiving();
  void cancel(Operation operation);
  void send(int how);
  bool is_awaited() const;
  void on_received(int result, unsigned flags);
  void on_sent(int result);
  void end(const base::Error* error);
  void try_shutdown();
  void try_take_out();
  void release_if_quiet();

  UringLoop& loop_;
  Loop::Live live_{loop_};
  StreamSink* sink_ = nullptr;
  SendQueue queue_;
  std::size_t offered_ = 0;             // bytes of the send under way
  std::unique_ptr<Sending> gathering_;  // only while a send of several pieces is under way
  struct TakeOut {
    std::move_only_function<void(base::Result<Loop::Detached>)> done;
    std::vector<Chunk> received;
    std::optional<base::Error> error;
  };
  std::unique_ptr<TakeOut> take_out_;
  PeerName peer_;
  int slot_;
  int descriptor_ = -1;  // only while it is put into the ring's table
  int installing_ = -1;  // the kernel's answer: the slot
  std::uint8_t under_way_ = 0;
  bool receiving_ : 1 = false;
  bool cancelling_ : 1 = false;
  // The last buffer came full: receive them one by one, since a multishot receive may bring dozens before its
  // owner can say that it has enough. Only where the kernel knows no bound for that.
  bool in_bulk_ : 1 = false;
  bool bounded_ : 1 = false;  // the last multishot receive was given a bound
  bool paused_ : 1 = false;
  bool ended_ : 1 = false;
  bool sending_ : 1 = false;
  bool drained_wanted_ : 1 = false;
  bool waiting_for_room_ : 1 = false;  // the send under way takes as long as the peer likes
  bool was_short_ : 1 = false;         // the last send that was not to wait did not send all
  bool shutdown_wanted_ : 1 = false;
  bool shutdown_done_ : 1 = false;
  bool closed_ : 1 = false;
  bool close_submitted_ : 1 = false;
  bool deleting_ : 1 = false;
};

// The Stream face of a UringSocket.
class UringStream final : public Stream {
 public:
  explicit UringStream(UringSocket* socket) : socket_(socket) {}
  ~UringStream() override {
    if (socket_ != nullptr) socket_->close();
  }
  void set_sink(StreamSink& sink) override { socket_->set_sink(sink); }
  void write(Chunk bytes) override { socket_->write(std::move(bytes)); }
  std::size_t unsent() const override { return socket_->unsent(); }
  void want_drained() override { socket_->want_drained(); }
  bool has_ended() const override { return socket_->has_ended(); }
  void pause_receiving() override { socket_->pause(); }
  void resume_receiving() override { socket_->resume(); }
  void shutdown_sending() override { socket_->shutdown_sending(); }
  const PeerName& peer() const override { return socket_->peer(); }
  PeerName local() const override { return {}; }
  Loop& loop() override { return socket_->loop(); }
  bool movable() const override { return socket_->loop().can_give_descriptors(); }
  UringSocket* give_up() { return std::exchange(socket_, nullptr); }

 private:
  UringSocket* socket_;
};

}  // namespace penstock::io
