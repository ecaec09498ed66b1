#include "io/uring_socket.h"

#include <unistd.h>

#include <algorithm>

namespace penstock::io {

UringSocket::UringSocket(UringLoop& loop, int slot, PeerName peer)
    : loop_(loop), peer_(std::move(peer)), slot_(slot) {}

UringSocket* UringSocket::install(UringLoop& loop, int descriptor, PeerName peer) {
  auto* socket = new UringSocket(loop, -1, std::move(peer));
  socket->descriptor_ = socket->installing_ = descriptor;
  socket->submit(kInstall, [&](io_uring_sqe* sqe) {
    io_uring_prep_files_update(sqe, &socket->installing_, 1, static_cast<int>(IORING_FILE_INDEX_ALLOC));
  });
  return socket;
}

template <class Prepare>
void UringSocket::submit(Operation operation, Prepare prepare) {
  ++under_way_;
  loop_.submit(this, operation, prepare);
}

void UringSocket::set_sink(StreamSink& sink) {
  sink_ = &sink;
  receive();
}

void UringSocket::receive() {
  if (receiving_ || paused_ || ended_ || closed_ || sink_ == nullptr || slot_ < 0 || take_out_ != nullptr)
    return;
  submit(kReceive, [&](io_uring_sqe* sqe) {
    if (in_bulk_) {
      io_uring_prep_recv(sqe, slot_, nullptr, UringBuffers::kBufferBytes, 0);
    } else {
      io_uring_prep_recv_multishot(sqe, slot_, nullptr, 0, 0);
      bounded_ = loop_.can_bound_receives();
      if (bounded_) loop_.bound_receive(*sqe);
    }
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = UringBuffers::kGroup;
  });
  receiving_ = true;
}

void UringSocket::write(Chunk bytes) {
  if (bytes.empty() || closed_ || shutdown_done_) return;
  // What cannot leave soon must not keep a whole receive buffer.
  if (waiting_for_room_ && sending_ && bytes.size() * 8 < bytes.held() * 7)
    bytes = Chunk::copy_of(bytes.view());
  queue_.push(std::move(bytes));
  loop_.flush_later(*this);
}

void UringSocket::flush() {
  if (queue_.empty() || slot_ < 0 || close_submitted_) return;
  if (sending_) return loop_.expect_one_less();  // this comes after it
  send(MSG_DONTWAIT);
}

// Whether there is something to do when what is queued has been sent. Small answers and questions, the usual
// case, are just sent, unless the peer has not kept up last time.
bool UringSocket::is_awaited() const {
  return drained_wanted_ || shutdown_wanted_ || was_short_ || queue_.bytes() > kSmallSend ||
         queue_.chunk_count() > kPiecesMax;
}

void UringSocket::want_drained() {
  drained_wanted_ = true;
  if (sending_) loop_.expect_one_less();
}

// `how`: MSG_DONTWAIT sends what fits at once, MSG_WAITALL all of it as the peer makes room.
void UringSocket::send(int how) {
  sending_ = true;
  waiting_for_room_ = how != MSG_DONTWAIT;
  if (!waiting_for_room_ && !is_awaited()) loop_.expect_at_once();
  if (queue_.chunk_count() == 1) {
    iovec piece;
    queue_.gather({&piece, 1});
    offered_ = piece.iov_len;
    return submit(kSend, [&](io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, slot_, piece.iov_base, piece.iov_len, MSG_NOSIGNAL | how);
      sqe->flags |= IOSQE_FIXED_FILE;
    });
  }
  gathering_ = std::make_unique<Sending>();
  gathering_->pieces.resize(std::min(queue_.chunk_count(), kPiecesMax));
  queue_.gather(gathering_->pieces);
  gathering_->header = {};
  gathering_->header.msg_iov = gathering_->pieces.data();
  gathering_->header.msg_iovlen = gathering_->pieces.size();
  offered_ = 0;
  for (const iovec& piece : gathering_->pieces) offered_ += piece.iov_len;
  submit(kSend, [&](io_uring_sqe* sqe) {
    io_uring_prep_sendmsg(sqe, slot_, &gathering_->header, static_cast<unsigned>(MSG_NOSIGNAL | how));
    sqe->flags |= IOSQE_FIXED_FILE;
  });
}

void UringSocket::on_sent(int result) {
  sending_ = false;
  gathering_.reset();
  if (closed_) {
    queue_.clear();
    return;
  }
  if (!waiting_for_room_ && result == -EAGAIN) result = 0;
  if (result < 0) {
    queue_.clear();
    const auto error =
        base::errno_error(base::kConnectionFailure, "could not send to " + peer_.to_string(), -result);
    end(&error);
    return;
  }
  const auto sent = static_cast<std::size_t>(result);
  queue_.consume(sent);
  if (!waiting_for_room_) was_short_ = sent < offered_;
  if (sent < offered_) return send(MSG_WAITALL);
  if (!queue_.empty()) return loop_.flush_later(*this);  // written meanwhile
  drained_wanted_ = false;
  try_shutdown();
  if (sink_ != nullptr && !ended_) sink_->on_drained();
}

void UringSocket::shutdown_sending() {
  shutdown_wanted_ = true;
  if (sending_) loop_.expect_one_less();
  try_shutdown();
}

void UringSocket::try_shutdown() {
  if (!shutdown_wanted_ || shutdown_done_ || !queue_.empty() || slot_ < 0 || closed_) return;
  shutdown_done_ = true;
  submit(kShutdown, [&](io_uring_sqe* sqe) {
    io_uring_prep_shutdown(sqe, slot_, SHUT_WR);
    sqe->flags |= IOSQE_FIXED_FILE;
  });
}

void UringSocket::pause() {
  paused_ = true;
  stop_receiving();
}

void UringSocket::stop_receiving() {
  if (!receiving_ || cancelling_) return;
  cancelling_ = true;
  cancel(kReceive);
}

// By name, which the kernel finds in a table. To cancel whatever a descriptor has under way, it would search all requests of the
// ring, and each client that leaves would cost more the more are there.
void UringSocket::cancel(Operation operation) {
  loop_.submit(nullptr, 0, [&](io_uring_sqe* sqe) {
    io_uring_prep_cancel64(sqe, UringLoop::user_data(this, operation), 0);
  });
}

void UringSocket::resume() {
  paused_ = false;
  receive();
}

void UringSocket::on_received(int result, unsigned flags) {
  const bool more = (flags & IORING_CQE_F_MORE) != 0;
  if (!more) {
    receiving_ = false;
    cancelling_ = false;
  }
  Chunk chunk;
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    chunk = loop_.buffers().take(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT),
                                 result > 0 ? static_cast<std::size_t>(result) : 0);
  }
  if (closed_) return;
  if (take_out_ != nullptr) {
    if (result > 0) take_out_->received.push_back(std::move(chunk));
    if (result == 0)
      take_out_->error =
          base::Error{.sqlstate = base::kConnectionFailure, .message = "the peer closed the connection"};
    return;
  }
  if (result > 0) {
    const bool filled = static_cast<std::uint32_t>(result) == UringBuffers::kBufferBytes;
    in_bulk_ = filled && !loop_.can_bound_receives();
    if (in_bulk_ && more) stop_receiving();  // and go on buffer by buffer
    if (sink_ != nullptr && !ended_) sink_->on_data(std::move(chunk));
    if (!more) receive();
    return;
  }
  if (result == -ECANCELED) return receive();
  // Many may have been armed before the first is refused.
  if (result == -EINVAL && bounded_) {
    bounded_ = false;
    loop_.cannot_bound_receives();
    return receive();
  }
  if (result == -ENOBUFS) return loop_.receive_later(*this);
  if (result == 0) return end(nullptr);
  const auto error =
      base::errno_error(base::kConnectionFailure, "could not receive from " + peer_.to_string(), -result);
  end(&error);
}

void UringSocket::end(const base::Error* error) {
  if (ended_ || closed_) return;
  ended_ = true;
  if (sink_ != nullptr) sink_->on_end(error);
}

void UringSocket::close() {
  closed_ = true;
  sink_ = nullptr;
  loop_.forget_starved(*this);
  if (is_linked()) unlink();
  stop_receiving();
  if (sending_) cancel(kSend);
  release_if_quiet();
}

void UringSocket::take_out(std::move_only_function<void(base::Result<Loop::Detached>)> done) {
  sink_ = nullptr;
  take_out_ = std::make_unique<TakeOut>();
  take_out_->done = std::move(done);
  if (receiving_) pause();
  try_take_out();
}

// Once nothing is under way the descriptor leaves the ring.
void UringSocket::try_take_out() {
  if (take_out_ == nullptr || under_way_ > 0 || closed_) return;
  if (ended_ || slot_ < 0 || take_out_->error.has_value()) {
    auto done = std::move(take_out_->done);
    auto error = take_out_->error.value_or(
        base::Error{.sqlstate = base::kConnectionFailure, .message = "the connection ended"});
    close();
    return done(base::fail(std::move(error)));
  }
  submit(kTakeOut, [&](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->opcode = kOpFixedFdInstall;
    sqe->fd = slot_;
    sqe->flags |= IOSQE_FIXED_FILE;
  });
}

void UringSocket::release_if_quiet() {
  if (!closed_ || under_way_ > 0) return;
  if (slot_ >= 0 && !close_submitted_) {
    close_submitted_ = true;
    return submit(kClose,
                  [&](io_uring_sqe* sqe) { io_uring_prep_close_direct(sqe, static_cast<unsigned>(slot_)); });
  }
  if (deleting_) return;
  deleting_ = true;
  loop_.defer([this] { delete this; });
}

void UringSocket::on_complete(unsigned operation, int result, unsigned flags) {
  if (operation != kReceive || (flags & IORING_CQE_F_MORE) == 0) --under_way_;
  // A callback may close this socket; it stays alive until release_if_quiet() has run.
  switch (operation) {
    case kReceive:
      on_received(result, flags);
      break;
    case kSend:
      on_sent(result);
      break;
    case kInstall: {
      // The ring's table now holds a reference of its own.
      ::close(std::exchange(descriptor_, -1));
      if (result < 0) {
        const auto error =
            base::errno_error(base::kInsufficientResources, "could not register a socket", -result);
        end(&error);
      } else {
        slot_ = installing_;
        receive();
        if (!queue_.empty()) loop_.flush_later(*this);
        try_shutdown();
      }
      break;
    }
    case kTakeOut: {
      auto done = std::move(take_out_->done);
      auto received = std::move(take_out_->received);
      if (!closed_) close();
      if (result < 0) {
        done(base::fail(
            base::errno_error(base::kFeatureNotSupported, "could not move a connection", -result)));
      } else {
        done(Loop::Detached{.descriptor = result, .close = ::close, .received = std::move(received)});
      }
      return;  // close() above has seen to the rest
    }
    default:
      break;
  }
  if (take_out_ != nullptr && !closed_) {
    try_take_out();
  } else {
    release_if_quiet();
  }
}

}  // namespace penstock::io
