// Echo: a server for tests.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "http/server.h"

namespace penstock::http::testing {

// Numbers from 0 to 99,999, a line each, a thousand to a part, and now and then none; "broken" fails in the middle,
// "endless" has no end.
class Parts final : public BodyParts {
 public:
  explicit Parts(std::string kind) : kind_(std::move(kind)) {}
  bool next(std::string& part) override {
    if (++calls_ % 3 == 0) return true;
    if (kind_ == "broken" && next_ == 50'000) throw std::runtime_error("nobody has foreseen this");
    for (int i = 0; i < 1000; ++i) fmt::format_to(std::back_inserter(part), "{}\n", next_++);
    return next_ < 100'000 || kind_ == "endless";
  }

 private:
  const std::string kind_;
  int calls_ = 0, next_ = 0;
};

// A server that says what it was asked, on a thread of its own.
class Echo {
 public:
  explicit Echo(Limits limits = {}, std::shared_ptr<const tls::ServerContext> tls = nullptr)
      : server_(
            loop_, [this](Request request, Respond respond) { handle(request, std::move(respond)); },
            limits) {
    server_.set_tls(std::move(tls));
    port = server_.listen("127.0.0.1", 0).value();
    thread_ = std::thread([this] {
      while (!done_) loop_.run_for(std::chrono::milliseconds(20));
    });
  }
  ~Echo() {
    loop_.post([this] { server_.stop(); });
    done_ = true;
    thread_.join();
    if (helper_.joinable()) helper_.join();
  }
  ServerCounts counts() { return server_.counts(); }
  std::uint16_t port = 0;

 private:
  void handle(const Request& request, Respond respond) {
    if (request.target == "/dropped") return;
    if (request.target == "/thrown") throw std::runtime_error("nobody has foreseen this");
    if (request.target == "/never") {
      kept_.push_back(std::move(respond));
      return;
    }
    if (request.target == "/large") {
      return respond({.content_type = "text/plain", .body = std::string(3'000'000, 'x')});
    }
    if (request.target.starts_with("/parts/")) {
      return respond(
          {.content_type = "text/plain", .parts = std::make_shared<Parts>(request.target.substr(7))});
    }
    if (request.target == "/elsewhere") {
      helper_ = std::thread([respond = std::move(respond)]() mutable {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        respond({.content_type = "text/plain", .body = "from another thread"});
      });
      return;
    }
    respond(
        {.content_type = "text/plain",
         .body = fmt::format("{} {} {} host={} tls={} name={}", request.method, request.target, request.body,
                             request.header("host"), request.is_encrypted, request.client_name)});
  }

  Loop loop_;
  std::vector<Respond> kept_;
  std::thread helper_;
  Server server_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace penstock::http::testing
