// What the connections of one Server share; for the sources of this module.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/intrusive_list.h"
#include "http/native_loop.h"
#include "http/server.h"

namespace penstock::http {

// One conversation with a client, from accept to close. It lives in its own coroutine (connection.cc) and takes
// itself off the list at its end.
class Connection : public base::ListHook<Connection> {
 public:
  // Whom it waits for: the client's next request, up to its last byte (TLS handshake included); us; the client again,
  // who does not read. Only those that wait for us are sure of their place.
  enum class Stage : std::uint8_t { kReceiving, kWorking, kSending };
  virtual void close() = 0;
  void enter(Stage next) {
    stage = next;
    since = std::chrono::steady_clock::now();
  }
  Stage stage = Stage::kReceiving;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();

 protected:
  ~Connection() = default;
};

struct Server::State {
  State(Loop& loop, Handler handle, const Limits& bounds)
      : io(loop.native().io), handler(std::move(handle)), limits(bounds) {}
  asio::io_context& io;
  Handler handler;
  Limits limits;
  std::shared_ptr<const tls::ServerContext> tls;
  std::vector<std::shared_ptr<asio::ip::tcp::acceptor>> doors;
  base::List<Connection, Connection> connections;
  ServerCounts counts;
  bool is_stopped = false;
};

// Serves one client until either side ends it.
asio::awaitable<void> converse(std::shared_ptr<Server::State> state, asio::ip::tcp::socket socket);

}  // namespace penstock::http
