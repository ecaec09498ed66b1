// UringLoop: the io_uring backend: one submission and wait per turn, direct descriptors, provided buffers.
//
// Sockets live in the ring's own descriptor table: they are cheaper per operation and do not count against
// the process's limit of open files. Each has at most one receive (multishot) and one send under way.
//
// Owner:      the worker, as a Loop.
// Home:       LOOP. The ring is created disabled and enabled by the thread that runs it (SINGLE_ISSUER).
// Bounds:     kDescriptorsMax sockets (the kernel: at most the process's open-file limit per ring);
//             UringBuffers'.
// See:        io_uring_enter(2), io_uring_setup(2).
#pragma once

#include <liburing.h>

#include <memory>
#include <vector>

#include "io/loop.h"
#include "io/uring_buffers.h"

namespace penstock::io {

class UringSocket;

// What a completion belongs to; the low four bits of user_data say which of its operations.
class alignas(16) UringOwner {
 public:
  virtual void on_complete(unsigned operation, int result, unsigned flags) = 0;

 protected:
  ~UringOwner() = default;
};

// Puts a direct descriptor into the process's table (kernel 6.8; liburing 2.3 has no name for it).
inline constexpr std::uint8_t kOpFixedFdInstall = 54;

class UringLoop final : public Loop, private UringOwner {
 public:
  // Fails where the kernel or a container forbids io_uring or lacks what Penstock needs (6.0 or newer).
  static base::Result<std::unique_ptr<UringLoop>> create(base::Random& random);
  ~UringLoop() override;

  std::string_view backend() const override { return "io_uring"; }
  std::size_t sockets_max(unsigned) const override { return descriptors_; }
  void run() override;
  base::Result<ListenerPtr> listen(const Address& address, const ListenOptions& options,
                                   AcceptSink& sink) override;
  std::unique_ptr<Connecting> connect(const Address& address, base::TimePoint deadline,
                                      ConnectDone done) override;
  base::Result<StreamPtr> adopt(int descriptor) override;
  void detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) override;

  // --- for the backend's own objects ---
  static std::uint64_t user_data(UringOwner* owner, unsigned operation) {
    return reinterpret_cast<std::uint64_t>(owner) | operation;
  }
  // Submits what `prepare` writes; it completes with owner->on_complete(operation, …), or unheard without an
  // owner.
  template <class Prepare>
  void submit(UringOwner* owner, unsigned operation, Prepare prepare) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) sqe = submission_after_flush();
    prepare(sqe);
    sqe->user_data = owner == nullptr ? 0 : user_data(owner, operation);
  }
  // An operation submitted in this turn is done as soon as it has been submitted, and nobody waits for that.
  void expect_at_once() { ++done_at_once_; }
  // Somebody waits for one of them after all.
  void expect_one_less() { done_at_once_ -= done_at_once_ > 0 ? 1 : 0; }
  UringBuffers& buffers() { return buffers_; }
  void receive_later(UringSocket& socket) { starved_.push_back(&socket); }
  void forget_starved(UringSocket& socket);
  const TcpOptions& tcp() const { return tcp_options(); }
  // Whether a multishot receive can be told to end after so many bytes (kernel 6.17); assumed until refused.
  bool can_bound_receives() const { return can_bound_receives_; }
  void cannot_bound_receives() { can_bound_receives_ = false; }
  void bound_receive(io_uring_sqe& sqe) const {
    sqe.file_index = UringBuffers::kBufferBytes;  // sqe->optlen, by the name these bytes had before 6.17
    sqe.off = refused_;
  }
  // From now on the kernel refuses bounds, as one older than 6.17 does.
  void refuse_bounds_for_test() { refused_ = 1; }
  // Whether a socket can leave the ring's table for the process's own (kernel 6.8 or newer).
  bool can_give_descriptors() const { return can_give_descriptors_; }

 private:
  explicit UringLoop(base::Random& random);
  base::Status start(unsigned descriptors);
  void wake() override;
  void on_complete(unsigned operation, int result, unsigned flags) override;
  io_uring_sqe* submission_after_flush();
  void arm_wake();
  void wait();
  bool watch(unsigned wanted);
  void dispatch(const io_uring_cqe& completion);

  io_uring ring_{};
  unsigned descriptors_ = 0;  // of the ring's table
  bool ring_open_ = false;
  bool can_give_descriptors_ = false;
  bool can_bound_receives_ = true;
  std::uint64_t refused_ = 0;  // goes where a receive must have zero
  UringBuffers buffers_;
  int wake_descriptor_ = -1;
  std::vector<UringSocket*> starved_;  // sockets whose receive found no buffer
  unsigned done_at_once_ = 0;          // of the operations submitted in this turn
};

}  // namespace penstock::io
