// relay_epoll: bytes from one socket to another and nothing else, with epoll. What a pooler on epoll cannot
// get below.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "relay_options.h"

namespace {

using namespace penstock::bench;

struct Side {
  Descriptor fd;
  Side* peer = nullptr;
  std::string unsent;       // waits for this side to take it
  std::uint32_t armed = 0;  // epoll events asked for
  std::size_t pair_index = 0;
};
struct Pair {
  Side client;
  Side server;
};

class Relay {
 public:
  explicit Relay(const RelayOptions& options)
      : options_(options), listener_(listen_on(options.listen)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    set_no_delay(listener_.get());  // accepted sockets inherit it
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 512> events;
    while (true) {
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          accept_all();
        } else {
          on_event(*static_cast<Side*>(event.data.ptr), event.events);
        }
      }
      dead_.clear();
    }
  }

 private:
  void accept_all() {
    while (true) {
      const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      auto pair = std::make_unique<Pair>();
      pair->client.fd.reset(fd);
      pair->server.fd.reset(connect_now(options_.target));
      if (pair->server.fd.get() < 0) continue;
      pair->client.peer = &pair->server;
      pair->server.peer = &pair->client;
      pair->client.pair_index = pair->server.pair_index = pairs_.size();
      arm(pair->client, EPOLLIN, EPOLL_CTL_ADD);
      arm(pair->server, EPOLLIN, EPOLL_CTL_ADD);
      pairs_.push_back(std::move(pair));
    }
  }

  void arm(Side& side, std::uint32_t events, int operation = EPOLL_CTL_MOD) {
    if (side.armed == events) return;
    epoll_event event{};
    event.events = side.armed = events;
    event.data.ptr = &side;
    epoll_ctl(epoll_.get(), operation, side.fd.get(), &event);
  }

  void on_event(Side& side, std::uint32_t events) {
    if (side.fd.get() < 0) return;  // closed earlier in this turn
    if ((events & EPOLLOUT) != 0) flush(side);
    if ((events & ~std::uint32_t{EPOLLOUT}) != 0 && side.fd.get() >= 0) pass_on(side);
  }

  void pass_on(Side& side) {
    const ssize_t got = recv(side.fd.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close_pair(side);
    ssize_t sent =
        send(side.peer->fd.get(), buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) return close_pair(side);
    if (sent < 0) sent = 0;
    if (sent == got) return;
    side.peer->unsent.assign(buffer_.data() + sent, static_cast<std::size_t>(got - sent));
    arm(*side.peer, side.peer->armed | EPOLLOUT);
    arm(side, side.armed & ~std::uint32_t{EPOLLIN});
  }

  void flush(Side& side) {
    const ssize_t sent =
        send(side.fd.get(), side.unsent.data(), side.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) return close_pair(side);
    if (sent > 0) side.unsent.erase(0, static_cast<std::size_t>(sent));
    if (!side.unsent.empty()) return;
    arm(side, side.armed & ~std::uint32_t{EPOLLOUT});
    arm(*side.peer, side.peer->armed | EPOLLIN);
  }

  void close_pair(Side& side) {
    const std::size_t index = side.pair_index;
    dead_.push_back(std::move(pairs_[index]));
    dead_.back()->client.fd.reset();
    dead_.back()->server.fd.reset();
    if (index + 1 < pairs_.size()) {
      pairs_[index] = std::move(pairs_.back());
      pairs_[index]->client.pair_index = pairs_[index]->server.pair_index = index;
    }
    pairs_.pop_back();
  }

  RelayOptions options_;
  Descriptor listener_;
  Descriptor epoll_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::vector<std::unique_ptr<Pair>> dead_;  // closed in this turn; events may still name them
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  std::make_unique<Relay>(read_relay_options(argc, argv))->run();
}
