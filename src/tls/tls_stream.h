// TlsStream is a Stream whose bytes travel encrypted over another Stream.
//
// Owner:      as every Stream; it owns the stream below.
// Home:       LOOP; between loops: take_apart() here, assemble() there.
// Invariants: 1. Those of Stream. Any callback may destroy it.
//             2. Plain bytes are delivered only once there is a sink; what comes earlier waits encrypted.
//             3. Idle, it owns no buffer: nothing decrypted, nothing encrypted, nothing partial.
// Waits:      writes of a turn are encrypted together at its end, small pieces joined into records of up to
//             16 KiB.
// Errors:     on_end with OpenSSL's reason. An end without close_notify counts as orderly, as in Postgres:
//             its messages have lengths, so a truncation shows there.
// Bounds:     while there is no sink: one received chunk, then receiving pauses; else as Stream. A peer that makes
//             us answer (key updates, attempts to renegotiate) and does not read, or that sends records without
//             data in them, is ended after io::kUnsentHigh bytes of that. Pausing it would not do: a peer may be
//             slow to read what it has asked for, and must be heard meanwhile.
// See:        handshake.h, which makes them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "io/loop.h"
#include "io/send_queue.h"
#include "io/stream.h"
#include "tls/engine.h"

namespace penstock::tls {

class TlsStream;
using TlsStreamPtr = std::unique_ptr<TlsStream>;

class TlsStream final : public io::Stream,
                        private io::StreamSink,
                        private io::Flushable,
                        private Engine::Output {
 public:
  // Everything a connection consists of, for moving it to another loop.
  struct Parts {
    io::StreamPtr raw = {};
    std::unique_ptr<Engine> engine = {};
    std::vector<io::Chunk> undecrypted = {};  // received, not yet looked at
    bool receiving = true;                    // false: `raw` has been paused
  };

  // With a handshake that has been made (another loop's take_apart()).
  static TlsStreamPtr assemble(Parts parts);
  // Nothing may be unsent.
  static Parts take_apart(TlsStreamPtr stream);
  ~TlsStream() override;

  // What the handshake has found out; not to be asked any more once it is forgotten.
  const Engine& engine() const { return *engine_; }
  void forget_handshake() { engine_->forget_handshake(); }

  void set_sink(io::StreamSink& sink) override;
  using io::Stream::write;
  void write(io::Chunk bytes) override;
  std::size_t unsent() const override { return queue_.bytes() + raw_->unsent(); }
  void want_drained() override;
  bool has_ended() const override { return state_ == State::kEnded; }
  void pause_receiving() override;
  void resume_receiving() override;
  void shutdown_sending() override;
  const io::PeerName& peer() const override { return raw_->peer(); }
  io::PeerName local() const override { return raw_->local(); }
  io::Loop& loop() override { return raw_->loop(); }
  bool movable() const override { return state_ == State::kOpen && raw_->movable() && !raw_ended_; }

 private:
  friend class HandshakeWait;
  enum class State { kHandshaking, kOpen, kEnded };
  class Guard;

  TlsStream(Parts parts, State state);

  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;
  void on_drained() override;
  void flush() override;
  void on_encrypted(base::ByteView bytes) override;

  void go_on_with_handshake(io::Chunk bytes);
  void handshake_over(std::optional<base::Error> failure);
  void hold(io::Chunk bytes);
  void deliver_held();
  void decrypt(base::ByteView input);
  void end_if_abusive();
  base::Status encrypt_queue();
  void end(const base::Error* error);
  void update_receiving();

  io::StreamPtr raw_;
  std::unique_ptr<Engine> engine_;
  io::StreamSink* sink_ = nullptr;
  io::SendQueue queue_;  // plain, to be encrypted at the end of this turn
  struct Held {          // what must wait for a sink
    std::vector<io::Chunk> encrypted = {};
    bool ended = false;
    std::optional<base::Error> error = {};
  };
  std::unique_ptr<Held> held_;
  class HandshakeWait* waiter_ = nullptr;
  bool* gone_ = nullptr;                  // set by the destructor: tells a caller further up the stack
  base::ByteView* decrypting_ = nullptr;  // what a decrypt() further up the stack has yet to look at
  std::size_t answered_bytes_ = 0;        // by the engine of its own accord, since nothing was unsent
  std::size_t dataless_bytes_ = 0;        // received since there was data in them
  State state_;
  bool receiving_ = true;  // what raw_ has been told
  bool paused_ = false;    // by our owner
  bool drained_wanted_ = false;
  bool shutdown_wanted_ = false;
  bool shutdown_done_ = false;
  bool raw_ended_ = false;
};

}  // namespace penstock::tls
