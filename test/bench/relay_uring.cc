// relay_uring: bytes from one socket to another and nothing else, with io_uring: multishot accept and
// receive, provided buffers sent on from where they arrived, direct descriptors, one io_uring_enter per turn.
// The floor for any pooler.
#include <liburing.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "relay_options.h"

namespace {

using namespace penstock::bench;

// Client connections get slots 0 … kPairs-1 from the kernel; the server connection of slot n is slot kPairs +
// n.
constexpr unsigned kPairs = 8 * 1024;  // a table must not be larger than the limit of open files
constexpr unsigned kBuffers = 4096;
constexpr unsigned kBufferBytes = 16 * 1024;
constexpr unsigned kRingEntries = 4096;
constexpr int kGroup = 0;

constexpr std::uint32_t kSmallSend = 4096;  // bytes; of more than that, more may follow

enum class Op : std::uint8_t { kAccept, kReceive, kSend, kCancel, kClose };

struct Piece {
  std::uint16_t buffer;
  std::uint32_t size;
};

// One socket: what is to be sent to it, and which operations the kernel still holds.
struct Side {
  std::vector<Piece> outgoing;  // the first is being sent
  std::uint32_t sent = 0;       // of the first
  bool receiving = false;
  bool sending = false;
  bool ended = false;
  bool starved = false;  // ran out of buffers; receive again when one returns
};

class Relay {
 public:
  explicit Relay(const RelayOptions& options) : options_(options), listener_(listen_on(options.listen)) {
    set_no_delay(listener_.get());  // accepted sockets inherit it
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = kRingEntries * 4;
    check(io_uring_queue_init_params(kRingEntries, &ring_, &params), "io_uring_queue_init");
    check(io_uring_register_files_sparse(&ring_, kPairs * 2), "io_uring_register_files_sparse");
    check(io_uring_register_file_alloc_range(&ring_, 0, kPairs), "io_uring_register_file_alloc_range");
    check(io_uring_register_ring_fd(&ring_), "io_uring_register_ring_fd");
    set_up_buffers();
    arm_accept();
  }

  [[noreturn]] void run() {
    while (true) {
      // A send that does not wait is done while it is submitted. Its completion is no reason to wake up, so
      // wait for one event more than that.
      io_uring_cqe* cqe = nullptr;
      const int result = io_uring_submit_and_wait(&ring_, std::exchange(sends_, 0) + 1);
      if (result < 0 && result != -EINTR) check(result, "io_uring_submit_and_wait");
      unsigned head = 0;
      unsigned count = 0;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        on_completion(*cqe);
        ++count;
      }
      io_uring_cq_advance(&ring_, count);
      give_back_buffers();
    }
  }

 private:
  static void check(int result, const char* what) {
    if (result >= 0) return;
    errno = -result;
    die_errno(what);
  }

  void set_up_buffers() {
    void* memory = nullptr;
    if (posix_memalign(&memory, 4096, kBuffers * sizeof(io_uring_buf)) != 0) die("no memory");
    buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
    registration.ring_entries = kBuffers;
    registration.bgid = kGroup;
    check(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffer_ring_);
    buffers_ = std::make_unique<char[]>(std::size_t{kBuffers} * kBufferBytes);
    for (unsigned i = 0; i < kBuffers; ++i) returned_.push_back(static_cast<std::uint16_t>(i));
    give_back_buffers();
  }

  char* buffer(unsigned id) { return buffers_.get() + std::size_t{id} * kBufferBytes; }

  void give_back_buffers() {
    if (returned_.empty()) return;
    int offset = 0;
    for (const std::uint16_t id : returned_) {
      io_uring_buf_ring_add(buffer_ring_, buffer(id), kBufferBytes, id, io_uring_buf_ring_mask(kBuffers),
                            offset++);
    }
    io_uring_buf_ring_advance(buffer_ring_, offset);
    returned_.clear();
    for (const unsigned slot : std::exchange(starved_, {})) {
      sides_[slot].starved = false;
      if (!sides_[slot].ended) arm_receive(slot);
    }
  }

  io_uring_sqe* next_sqe(Op op, unsigned slot) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    pending_data_ = (static_cast<std::uint64_t>(op) << 32) | slot;
    return sqe;
  }
  void finish_sqe(io_uring_sqe* sqe, unsigned flags) {
    sqe->flags |= flags;
    sqe->user_data = pending_data_;
  }

  void arm_accept() {
    io_uring_sqe* sqe = next_sqe(Op::kAccept, 0);
    io_uring_prep_multishot_accept_direct(sqe, listener_.get(), nullptr, nullptr, 0);
    finish_sqe(sqe, 0);
  }

  void arm_receive(unsigned slot) {
    io_uring_sqe* sqe = next_sqe(Op::kReceive, slot);
    io_uring_prep_recv_multishot(sqe, static_cast<int>(slot), nullptr, 0, 0);
    sqe->buf_group = kGroup;
    finish_sqe(sqe, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
    sides_[slot].receiving = true;
  }

  // `how`: MSG_DONTWAIT sends what fits at once, MSG_WAITALL waits until all of it has been sent.
  void send_next(unsigned slot, int how = MSG_DONTWAIT) {
    Side& side = sides_[slot];
    const Piece& piece = side.outgoing.front();
    io_uring_sqe* sqe = next_sqe(Op::kSend, slot);
    io_uring_prep_send(sqe, static_cast<int>(slot), buffer(piece.buffer) + side.sent, piece.size - side.sent,
                       MSG_NOSIGNAL | how);
    finish_sqe(sqe, IOSQE_FIXED_FILE);
    side.sending = true;
    const bool is_awaited = side.outgoing.size() > 1 || piece.size > kSmallSend || !starved_.empty();
    if (how == MSG_DONTWAIT && !is_awaited) ++sends_;
  }

  static unsigned peer_of(unsigned slot) { return slot < kPairs ? slot + kPairs : slot - kPairs; }

  void on_completion(const io_uring_cqe& cqe) {
    const auto slot = static_cast<unsigned>(cqe.user_data & 0xffffffffU);
    switch (static_cast<Op>(cqe.user_data >> 32)) {
      case Op::kAccept:
        if (cqe.res >= 0) on_accept(static_cast<unsigned>(cqe.res));
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm_accept();
        break;
      case Op::kReceive:
        on_received(slot, cqe);
        break;
      case Op::kSend:
        on_sent(slot, cqe.res);
        break;
      case Op::kCancel:
      case Op::kClose:
        break;
    }
  }

  void on_accept(unsigned slot) {
    const unsigned peer = peer_of(slot);
    sides_[slot] = {};
    sides_[peer] = {};
    Descriptor fd(connect_now(options_.target));
    if (fd.get() < 0) {
      close_slot(slot);
      return;
    }
    const int raw = fd.get();
    check(io_uring_register_files_update(&ring_, peer, &raw, 1), "io_uring_register_files_update");
    arm_receive(slot);
    arm_receive(peer);
  }

  void on_received(unsigned slot, const io_uring_cqe& cqe) {
    Side& side = sides_[slot];
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) side.receiving = false;
    if (cqe.res > 0) {
      const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      Side& peer = sides_[peer_of(slot)];
      if (peer.ended) {
        returned_.push_back(id);
      } else {
        peer.outgoing.push_back({id, static_cast<std::uint32_t>(cqe.res)});
        if (!peer.sending) send_next(peer_of(slot));
      }
      if (!side.receiving && !side.ended) arm_receive(slot);
    } else if (cqe.res == -ENOBUFS) {
      side.starved = true;
      starved_.push_back(slot);
    } else {
      if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
        returned_.push_back(static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT));
      }
      end_pair(slot);
    }
    close_if_done(slot);
  }

  void on_sent(unsigned slot, int result) {
    Side& side = sides_[slot];
    side.sending = false;
    if (result == -EAGAIN) return send_next(slot, MSG_WAITALL);
    if (result > 0) side.sent += static_cast<std::uint32_t>(result);
    if (result < 0) end_pair(slot);
    if (result < 0 || side.sent == side.outgoing.front().size) {
      returned_.push_back(side.outgoing.front().buffer);
      side.outgoing.erase(side.outgoing.begin());
      side.sent = 0;
    }
    if (!side.outgoing.empty() && result >= 0) send_next(slot, side.sent > 0 ? MSG_WAITALL : MSG_DONTWAIT);
    close_if_done(slot);
  }

  // One side has ended: end both. What was submitted for sending before goes out first. (Not with a shutdown:
  // the kernel hands that to a worker thread, which looks its slot up later, when it may be someone else's.)
  void end_pair(unsigned slot) {
    for (const unsigned each : {slot, peer_of(slot)}) {
      if (sides_[each].ended) continue;
      sides_[each].ended = true;
      io_uring_sqe* sqe = next_sqe(Op::kCancel, each);
      io_uring_prep_cancel_fd(sqe, static_cast<int>(each),
                              IORING_ASYNC_CANCEL_FD_FIXED | IORING_ASYNC_CANCEL_ALL);
      finish_sqe(sqe, 0);
    }
  }

  void close_if_done(unsigned slot) {
    for (const unsigned each : {slot, peer_of(slot)}) {
      const Side& side = sides_[each];
      if (!side.ended || side.receiving || side.sending || side.starved) return;
    }
    for (const unsigned each : {slot, peer_of(slot)}) {
      for (const Piece& piece : sides_[each].outgoing) returned_.push_back(piece.buffer);
      sides_[each] = {};
      close_slot(each);
    }
  }

  void close_slot(unsigned slot) {
    io_uring_sqe* sqe = next_sqe(Op::kClose, slot);
    io_uring_prep_close_direct(sqe, slot);
    finish_sqe(sqe, 0);
  }

  RelayOptions options_;
  Descriptor listener_;
  io_uring ring_{};
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::unique_ptr<char[]> buffers_;
  std::vector<std::uint16_t> returned_;
  std::vector<unsigned> starved_;
  std::uint64_t pending_data_ = 0;
  unsigned sends_ = 0;  // since the last submission: that do not wait, and whose end nobody waits for
  std::array<Side, kPairs * 2> sides_;
};

}  // namespace

int main(int argc, char** argv) {
  std::make_unique<Relay>(read_relay_options(argc, argv))->run();
}
