// Server: HTTP/1.1 with or without TLS, on the control thread's loop.
//
// Without bounds, whoever can reach the port could hold the administrator out: so every read and write has a
// deadline, every size a limit, and when all places are taken the connection ends whose client has let us wait longest:
// for a request, whole or not, or to take its answer.
//
// Owner:      the composition root; may die before its loop, and its connections end with it.
// Home:       the control thread.
// Invariants: 1. The handler sees whole requests only, one at a time per connection.
//             2. Every request that was seen is answered once, or its connection is closed.
// Waits:      Limits; a handler that does not answer in time costs its client a 503.
// Errors:     to clients: 400, 408 (as a closed connection), 413, 431, 500, 503 as problem documents.
// Bounds:     connections_max connections of header_bytes_max + body_bytes_max each.
// See:        RFC 9110, RFC 9112
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "http/loop.h"
#include "http/message.h"
#include "tls/context.h"

namespace penstock::http {

struct Limits {
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t body_bytes_max = 1024 * 1024;
  std::size_t connections_max = 256;
  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds answer_timeout{60'000};
  std::chrono::milliseconds write_timeout{30'000};  // for each 64 KiB or so
  std::chrono::milliseconds idle_timeout{75'000};
};

struct ServerCounts {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;  // all places were taken
  std::uint64_t requests = 0;
  std::size_t connections = 0;  // now
};

class Server {
 public:
  Server(Loop& loop, Handler handler, Limits limits = {});
  ~Server();
  Server(const Server&) = delete;

  // Connections from now on are encrypted (null: not).
  void set_tls(std::shared_ptr<const tls::ServerContext> context);
  // An IP address or "*"; the port is 0 for a free one. Gives the port.
  base::Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  // Closes the door and the connections whose clients have asked nothing; the others end with their answers.
  void finish();
  // Somebody has no answer yet, or not all of it.
  bool is_answering() const;
  // Closes the door and every connection.
  void stop();
  ServerCounts counts() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace penstock::http
