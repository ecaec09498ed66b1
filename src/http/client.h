// Client: asks an HTTP server, one request after the other, and waits for each answer; for commands, never for the
// server's own threads.
//
// Owner:  a command.
// Home:   one thread, which it blocks.
// Waits:  `timeout` for each request as a whole: names, connecting, answer, and a second try.
// Errors: kConnectionFailure with the address (the server cannot be reached, does not answer, is not who it should be),
//         kTransactionResolutionUnknown instead when something that changes things may have been done, kInvalidParameterValue (the
//         URL). Every status that was answered is an Answer.
// Bounds: body_bytes_max.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/error.h"
#include "http/message.h"

namespace penstock::http {

struct ClientOptions {
  std::string url = {};        // "http://127.0.0.1:6433", "https://db.example.com"; a path before all targets
  std::string ca_file = {};    // of https; empty: the system's
  std::string cert_file = {};  // what the client shows, with its chain; empty: nothing
  std::string key_file = {};   // of that certificate; empty: it is in the same file
  std::chrono::milliseconds timeout{30'000};
  std::size_t body_bytes_max = std::size_t{256} << 20;
};

struct Answer {
  int status = 0;
  std::string content_type = {};
  std::string body = {};
};

class Client {
 public:
  static base::Result<Client> make(const ClientOptions& options);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // Of the request, its method, target, headers and body. A connection is kept for the next one; what only reads (GET) is
  // asked again when that has ended meanwhile, and all else is asked on a new one unless the old was used just now.
  base::Result<Answer> ask(const Request& request);

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace penstock::http
