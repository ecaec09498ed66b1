#include "io/epoll_socket.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "io/socket_setup.h"

namespace penstock::io {

PeerName EpollStream::local() const {
  return local_name(socket_->descriptor());
}

EpollSocket::EpollSocket(EpollLoop& loop, int descriptor, PeerName peer)
    : loop_(loop), peer_(std::move(peer)), descriptor_(descriptor) {}

void EpollSocket::set_sink(StreamSink& sink) {
  sink_ = &sink;
  update_interest();
}

void EpollSocket::update_interest() {
  if (closed_) return;
  std::uint32_t wanted = 0;
  if (sink_ != nullptr && !paused_ && !ended_) wanted |= EPOLLIN;
  if (blocked_) wanted |= EPOLLOUT;
  if (watched_ && wanted == interest_) return;
  loop_.watch(descriptor_, wanted, *this, !watched_);
  watched_ = true;
  interest_ = wanted;
}

void EpollSocket::write(Chunk bytes) {
  if (bytes.empty() || closed_ || shutdown_done_ || ended_) return;
  // What cannot leave soon must not keep a whole receive buffer.
  if (blocked_ && bytes.size() * 8 < bytes.held() * 7) bytes = Chunk::copy_of(bytes.view());
  queue_.push(std::move(bytes));
  loop_.flush_later(*this);
}

void EpollSocket::flush() {
  if (closed_ || blocked_) return;
  std::array<iovec, 1024> pieces;  // IOV_MAX; not cleared
  while (!queue_.empty()) {
    const std::size_t count = queue_.gather(pieces);
    msghdr header{};
    header.msg_iov = pieces.data();
    header.msg_iovlen = count;
    // One piece is the usual case, and cheaper without a header.
    const ssize_t sent = count == 1 ? send(descriptor_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                                    : sendmsg(descriptor_, &header, MSG_NOSIGNAL);
    if (sent >= 0) {
      queue_.consume(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      blocked_ = true;
      return update_interest();
    }
    const auto error =
        base::errno_error(base::kConnectionFailure, "could not send to " + peer_.to_string(), errno);
    queue_.clear();
    return end(&error);
  }
  try_shutdown();
  if (sink_ != nullptr && !ended_) sink_->on_drained();
}

void EpollSocket::pause() {
  paused_ = true;
  update_interest();
}

void EpollSocket::resume() {
  paused_ = false;
  update_interest();
}

void EpollSocket::shutdown_sending() {
  shutdown_wanted_ = true;
  try_shutdown();
}

void EpollSocket::try_shutdown() {
  if (!shutdown_wanted_ || shutdown_done_ || !queue_.empty() || closed_) return;
  shutdown_done_ = true;
  shutdown(descriptor_, SHUT_WR);
}

void EpollSocket::end(const base::Error* error) {
  if (ended_ || closed_) return;
  ended_ = true;
  update_interest();
  if (sink_ != nullptr) sink_->on_end(error);
}

void EpollSocket::close() {
  closed_ = true;
  sink_ = nullptr;
  queue_.clear();
  if (is_linked()) unlink();
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  loop_.defer([this] { delete this; });
}

int EpollSocket::take_out() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (watched_) loop_.forget(descriptor);
  close();
  return descriptor;
}

void EpollSocket::on_ready(std::uint32_t events) {
  if (closed_) return;
  if ((events & EPOLLOUT) != 0 && blocked_) {
    blocked_ = false;
    update_interest();
    flush();
  }
  if (!closed_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable();
}

void EpollSocket::on_readable() {
  if (ended_) return;
  // A hang-up is reported even while paused; what has been received before it must wait for resume().
  if (paused_ || sink_ == nullptr) {
    loop_.forget(descriptor_);
    watched_ = false;
    return;
  }
  Chunk chunk;
  const int got = loop_.receive(descriptor_, chunk);
  if (got > 0) return sink_->on_data(std::move(chunk));
  if (got == -EAGAIN || got == -EINTR) return;
  if (got == 0) return end(nullptr);
  const auto error =
      base::errno_error(base::kConnectionFailure, "could not receive from " + peer_.to_string(), -got);
  end(&error);
}

}  // namespace penstock::io
