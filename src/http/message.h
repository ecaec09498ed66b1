// What an HTTP request asks and what is answered: plain values.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = {};  // "GET"; as sent
  std::string target = {};  // as sent: path and query
  Headers headers = {};     // names in lower case
  std::string body = {};
  std::string peer = {};  // the address of the client, without the port
  bool is_encrypted = false;
  std::string client_name = {};  // of a client certificate that was verified; empty: none

  // The first header of that name (lower case); empty when there is none.
  std::string_view header(std::string_view name) const;
};

// A body that is made while it is sent: it is never in memory as a whole, and others get their turn between its parts.
// Home: the loop's thread, until the last part has been made or the client is gone.
class BodyParts {
 public:
  virtual ~BodyParts() = default;
  // Appends the next part, 64 KiB or so, to `part`; nothing when what it did so far took long enough. False: that was
  // the last.
  virtual bool next(std::string& part) = 0;
};

struct Response {
  int status = 200;
  std::string content_type = {};  // empty: there is no body
  std::string body = {};
  Headers headers = {};                   // further ones
  std::string_view constant_body = {};    // instead of `body`: text that lives as long as the process
  std::shared_ptr<BodyParts> parts = {};  // instead of `body`
  std::string_view content() const { return constant_body.empty() ? std::string_view(body) : constant_body; }
};

// Answers one request. May be called once, on any thread; when it is dropped uncalled the client gets a 500.
using Respond = std::move_only_function<void(Response)>;
// Runs on the loop's thread and must not block; may keep both and answer later. When it throws, the client
// gets a 500.
using Handler = std::move_only_function<void(Request, Respond)>;

}  // namespace penstock::http
