// Stream: one connection's bytes, in and out; plain sockets, TLS and simulated connections look alike.
//
// Writes are queued and leave together at the end of the loop's turn, in as few system calls as possible.
//
// Owner:      one object above io, by StreamPtr. Destroying it closes the connection at once and drops unsent
//             bytes; finish() below is the polite way. Destroying it from within its own callbacks is
//             allowed.
// Home:       LOOP
// Invariants: 1. After on_end no further callback comes.
//             2. Bytes leave in the order of write().
//             3. While paused, on_data may still come for bytes already received; no more than one buffer's
//                worth is read anew.
// Errors:     every failure of the connection is one on_end with the reason.
// Bounds:     unsent() is for the caller to watch: pause the sender above kUnsentHigh, resume on on_drained.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "io/chunk.h"

namespace penstock::io {

class Loop;

// With more unsent than this a session stops reading: with what may still come, and what that lies in, it keeps
// less than 64 KiB in one direction. In bytes.
inline constexpr std::size_t kUnsentHigh = 24 * 1024;

class StreamSink {
 public:
  // Bytes have arrived; never empty.
  virtual void on_data(Chunk bytes) = 0;
  // The peer closed in an orderly way (nullptr) or the connection failed.
  virtual void on_end(const base::Error* error) = 0;
  // Everything written so far has been handed to the kernel. In time only after Stream::want_drained().
  virtual void on_drained() {}

 protected:
  ~StreamSink() = default;
};

// What is known of the other end.
struct PeerName {
  std::string address;  // "192.0.2.1", "2001:db8::1" or "unix"
  std::uint16_t port = 0;
  // Unix sockets: who the peer process is; -1 where unknown.
  int uid = -1;
  int pid = -1;
  bool is_unix() const { return address == "unix"; }
  std::string to_string() const;  // "192.0.2.1:5432", "[2001:db8::1]:5432", "unix(4711)"
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Begins receiving for `sink`, or hands the stream over to another one. The sink outlives the stream or is
  // replaced.
  virtual void set_sink(StreamSink& sink) = 0;
  virtual void write(Chunk bytes) = 0;
  void write(base::ByteView bytes) { write(Chunk::copy_of(bytes)); }
  // Bytes written but not yet taken by the kernel.
  virtual std::size_t unsent() const = 0;

  // Somebody waits for the next on_drained(); without this it may come late, together with another event.
  virtual void want_drained() {}

  // The sink has been told of the end: nothing will be received any more.
  virtual bool has_ended() const = 0;

  virtual void pause_receiving() = 0;
  virtual void resume_receiving() = 0;
  // Sends what is queued and then the end of the stream (TLS: close_notify first). Receiving goes on.
  virtual void shutdown_sending() = 0;

  virtual const PeerName& peer() const = 0;
  // Our own address on this connection.
  virtual PeerName local() const = 0;
  virtual Loop& loop() = 0;
  // Loop::detach() can take it out of its loop.
  virtual bool movable() const { return false; }
};

using StreamPtr = std::unique_ptr<Stream>;

// Sends what is queued, ends the stream, waits for the peer to close (so that a reset does not overtake the
// last message), and destroys it; after `patience` at the latest.
// A stream that has ended has nothing to wait for.
void finish(StreamPtr stream, base::Duration patience = std::chrono::seconds(2));

}  // namespace penstock::io
