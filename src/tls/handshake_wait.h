// HandshakeWait suspends a coroutine until a TlsStream's handshake is over or a deadline has passed.
//
// Owner:      the coroutine, on its frame; it leaves the stream when it dies.
// Home:       LOOP
// Invariants: the coroutine is resumed exactly once, unless it is destroyed first.
#pragma once

#include <coroutine>
#include <optional>

#include "io/timer_wheel.h"
#include "tls/tls_stream.h"

namespace penstock::tls {

class HandshakeWait {
 public:
  // Makes the stream and begins its handshake.
  HandshakeWait(io::StreamPtr raw, std::unique_ptr<Engine> engine, base::TimePoint deadline);
  HandshakeWait(const HandshakeWait&) = delete;
  HandshakeWait& operator=(const HandshakeWait&) = delete;
  ~HandshakeWait();

  // Takes what the peer has sent already (empty: the peer waits for us).
  void begin(std::vector<io::Chunk> received);

  bool await_ready() const { return over_; }
  void await_suspend(std::coroutine_handle<> caller);
  // The open stream, or why there is none; the connection below then gets a polite end, so that the alert
  // arrives.
  base::Result<TlsStreamPtr> await_resume();

 private:
  friend class TlsStream;
  void finished(std::optional<base::Error> failure);
  void on_deadline();

  TlsStreamPtr stream_;
  base::TimePoint deadline_;
  io::Timer timer_ = io::Timer::calling<&HandshakeWait::on_deadline>(this);
  std::coroutine_handle<> caller_;
  std::optional<base::Error> failure_;
  bool over_ = false;
};

}  // namespace penstock::tls
