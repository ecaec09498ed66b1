#include "io/epoll_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "io/epoll_socket.h"
#include "io/socket_setup.h"

namespace penstock::io {

namespace {

constexpr int kEventsPerTurn = 512;
constexpr int kAcceptsPerTurn = 64;
constexpr std::size_t kOtherFiles = 64;  // listeners, log, catalog and the like

base::TimePoint steady_now() {
  return std::chrono::steady_clock::now();
}

class EpollListener final : public Listener {
 public:
  EpollListener(EpollLoop& loop, int descriptor, AcceptSink& sink)
      : state_(new State(loop, descriptor, sink)), address_(local_address(descriptor)) {}
  ~EpollListener() override {
    remove_socket_file(address_);  // while it listens: afterwards a successor may have made its own
    state_->close();
  }
  const Address& address() const override { return address_; }

 private:
  // Freed at the end of the turn: an event of this turn may still name it.
  struct State final : EpollOwner {
    State(EpollLoop& owner, int listening, AcceptSink& target)
        : loop(owner), descriptor(listening), sink(&target) {
      loop.watch(descriptor, EPOLLIN, *this, true);
    }
    void on_ready(std::uint32_t) override {
      for (int i = 0; i < kAcceptsPerTurn && sink != nullptr; ++i) {
        sockaddr_storage storage{};
        socklen_t size = sizeof(storage);
        auto* peer = reinterpret_cast<sockaddr*>(&storage);
        const int accepted = accept4(descriptor, peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) {
          if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) take_a_rest();
          return;
        }
        PeerName name = peer->sa_family == AF_UNIX ? peer_name(accepted) : peer_name(peer, size);
        sink->on_accept(std::make_unique<EpollStream>(new EpollSocket(loop, accepted, std::move(name))));
      }
    }
    void take_a_rest() {
      loop.watch(descriptor, 0, *this, false);
      loop.timers().arm(rest, loop.now() + std::chrono::milliseconds(100));
    }
    void after_rest() { loop.watch(descriptor, EPOLLIN, *this, false); }
    void close() {
      sink = nullptr;
      rest.cancel();
      ::close(descriptor);
      loop.defer([this] { delete this; });
    }
    EpollLoop& loop;
    int descriptor;
    AcceptSink* sink;
    Timer rest = Timer::calling<&State::after_rest>(this);
    Loop::Live live{loop};
  };
  State* state_;
  Address address_;
};

class EpollConnecting final : public Connecting {
 public:
  EpollConnecting(EpollLoop& loop, int descriptor, const Address& address, base::TimePoint deadline,
                  ConnectDone done)
      : state_(new State(loop, descriptor, address, std::move(done), *this)) {
    state_->start(deadline);
  }
  ~EpollConnecting() override {
    if (state_ != nullptr) state_->give_up();
  }

 private:
  struct State final : EpollOwner {
    State(EpollLoop& owner, int socket, const Address& target, ConnectDone callback, EpollConnecting& face_)
        : loop(owner), descriptor(socket), address(target), done(std::move(callback)), face(&face_) {}
    void start(base::TimePoint deadline) {
      error = connect(descriptor, address.data(), address.size()) == 0 ? 0 : errno;
      if (error == EINPROGRESS) {
        loop.watch(descriptor, EPOLLOUT, *this, true);
        loop.timers().arm(timer, deadline);
      } else {
        // Decided already (Unix sockets); answered in the next turn.
        loop.timers().arm(timer, loop.now());
      }
    }
    void on_ready(std::uint32_t) override {
      if (face == nullptr) return;
      socklen_t size = sizeof(error);
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
      settle();
    }
    void on_timer() {
      if (error == EINPROGRESS) error = ETIMEDOUT;
      settle();
    }
    void settle() {
      EpollConnecting* const owner = std::exchange(face, nullptr);
      if (owner == nullptr) return;
      owner->state_ = nullptr;
      timer.cancel();
      loop.defer([this] { delete this; });
      if (error != 0) {
        ::close(descriptor);
        return done(base::fail(connect_error(address, error)));
      }
      // The descriptor leaves the epoll set, so that the socket can enter it in its own name.
      loop.forget(descriptor);
      done(std::make_unique<EpollStream>(new EpollSocket(loop, descriptor, peer_name(descriptor))));
    }
    void give_up() {
      face = nullptr;
      timer.cancel();
      ::close(descriptor);
      loop.defer([this] { delete this; });
    }
    EpollLoop& loop;
    int descriptor;
    Address address;
    ConnectDone done;
    EpollConnecting* face;
    int error = EINPROGRESS;
    Timer timer = Timer::calling<&State::on_timer>(this);
    Loop::Live live{loop};
  };
  State* state_;
};

}  // namespace

EpollLoop::EpollLoop(base::Random& random) : Loop(random, steady_now()) {}

EpollLoop::~EpollLoop() {
  for (Buffer* buffer : spare_) std::free(buffer);
  if (wake_descriptor_ >= 0) close(wake_descriptor_);
  if (epoll_ >= 0) close(epoll_);
}

base::Result<std::unique_ptr<EpollLoop>> EpollLoop::create(base::Random& random) {
  std::unique_ptr<EpollLoop> loop(new EpollLoop(random));
  loop->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (loop->epoll_ < 0)
    return base::fail(base::errno_error(base::kIoError, "could not create an epoll set", errno));
  loop->wake_descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (loop->wake_descriptor_ < 0) {
    return base::fail(base::errno_error(base::kIoError, "could not create an eventfd", errno));
  }
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  epoll_ctl(loop->epoll_, EPOLL_CTL_ADD, loop->wake_descriptor_, &event);
  return loop;
}

void EpollLoop::watch(int descriptor, std::uint32_t events, EpollOwner& owner, bool is_new) {
  epoll_event event{.events = events, .data = {.ptr = &owner}};
  epoll_ctl(epoll_, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

void EpollLoop::forget(int descriptor) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
}

int EpollLoop::receive(int descriptor, Chunk& out) {
  Buffer* buffer;
  if (spare_.empty()) {
    void* memory = std::malloc(sizeof(Buffer) + kBufferBytes);
    if (memory == nullptr) return -ENOMEM;
    buffer = new (memory) Buffer{.source = this,
                                 .refs = 0,
                                 .capacity = kBufferBytes,
                                 .id = 0,
                                 .data = static_cast<std::uint8_t*>(memory) + sizeof(Buffer)};
  } else {
    buffer = spare_.back();
    spare_.pop_back();
  }
  const ssize_t got = recv(descriptor, buffer->data, kBufferBytes, 0);
  const int result = got < 0 ? -errno : static_cast<int>(got);
  buffer->refs = 1;
  out = Chunk::adopt(*buffer, 0, result > 0 ? static_cast<std::size_t>(result) : 0);
  return result;
}

void EpollLoop::recycle(Buffer& buffer) noexcept {
  if (spare_.size() < kSpareBuffers) {
    spare_.push_back(&buffer);
  } else {
    std::free(&buffer);
  }
}

void EpollLoop::wake() {
  const std::uint64_t one = 1;
  (void)!write(wake_descriptor_, &one, sizeof(one));
}

void EpollLoop::run() {
  std::array<epoll_event, kEventsPerTurn> events;
  set_now(steady_now());
  while (!stopped()) {
    finish_turn();
    if (stopped()) break;
    int timeout = -1;
    if (const base::TimePoint next = timers().next_deadline(); next != base::kNever) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - steady_now()).count();
      timeout = static_cast<int>(std::clamp<long>(left, 0, 60'000));
    }
    int count = 0;
    for (const auto until = now() + busy_poll(); timeout != 0 && count == 0 && steady_now() < until;) {
      count = epoll_wait(epoll_, events.data(), kEventsPerTurn, 0);
    }
    if (count == 0) count = epoll_wait(epoll_, events.data(), kEventsPerTurn, timeout);
    set_now(steady_now());
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr != nullptr) {
        static_cast<EpollOwner*>(event.data.ptr)->on_ready(event.events);
      } else {
        std::uint64_t wakes = 0;
        (void)!read(wake_descriptor_, &wakes, sizeof(wakes));
      }
    }
  }
}

std::size_t EpollLoop::sockets_max(unsigned loops) const {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return (static_cast<std::size_t>(limit.rlim_cur) - std::min<std::size_t>(limit.rlim_cur, kOtherFiles)) /
         loops;
}

base::Result<ListenerPtr> EpollLoop::listen(const Address& address, const ListenOptions& options,
                                            AcceptSink& sink) {
  auto descriptor = open_listener(address, options, tcp());
  if (!descriptor) return std::unexpected(descriptor.error());
  return std::make_unique<EpollListener>(*this, *descriptor, sink);
}

std::unique_ptr<Connecting> EpollLoop::connect(const Address& address, base::TimePoint deadline,
                                               ConnectDone done) {
  auto descriptor = open_connector(address, tcp());
  if (!descriptor) return refuse_later(std::move(descriptor.error()), std::move(done));
  return std::make_unique<EpollConnecting>(*this, *descriptor, address, deadline, std::move(done));
}

base::Result<StreamPtr> EpollLoop::adopt(int descriptor) {
  return std::make_unique<EpollStream>(new EpollSocket(*this, descriptor, peer_name(descriptor)));
}

void EpollLoop::detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) {
  EpollSocket* socket = static_cast<EpollStream&>(*stream).give_up();
  const int descriptor = socket->take_out();
  defer([descriptor, done = std::move(done)]() mutable {
    done(Detached{.descriptor = descriptor, .close = ::close});
  });
}

}  // namespace penstock::io
