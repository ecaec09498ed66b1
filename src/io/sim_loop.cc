#include "io/sim_loop.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "io/sim_socket.h"

namespace penstock::io {

namespace {

enum Trace : std::uint64_t { kTurn = 200, kAccept, kConnected, kRefused };

// The name by which others see this address.
PeerName name_of(const Address& address) {
  if (address.is_unix()) return {.address = "unix", .uid = 0, .pid = 1};
  return {.address = address.ip(), .port = address.port()};
}

base::Error connect_error(const Address& address, const char* reason) {
  return {.sqlstate = base::kConnectionFailure,
          .message = fmt::format("could not connect to {}: {}", address.to_string(), reason)};
}

// A connect under way: waits for the network's answer or its deadline.
class SimConnecting final : public Connecting {
 public:
  SimConnecting(SimLoop& loop, Address address, ConnectDone done)
      : loop_(loop), address_(address), done_(std::move(done)) {}
  ~SimConnecting() override { *alive_ = nullptr; }

  void begin(base::TimePoint deadline) {
    loop_.timers().arm(timer_, deadline);
    SimWorld& world = loop_.world();
    const SimFaults faults = world.faults_for(address_.to_string());
    if (world.chance(faults.blackhole_percent)) return;
    const bool refuse = world.chance(faults.refuse_percent);
    const auto there = world.random_duration(faults.latency_min, faults.latency_max);
    const auto back = world.random_duration(faults.latency_min, faults.latency_max);
    world.after(there, [alive = alive_, refuse, back] {
      if (*alive != nullptr) (*alive)->reach_listener(refuse, back);
    });
  }

 private:
  void reach_listener(bool refuse, base::Duration back) {
    SimWorld& world = loop_.world();
    SimListener* listener = refuse ? nullptr : world.find_listener(address_);
    if (listener == nullptr) {
      world.after(back, [alive = alive_] {
        if (*alive != nullptr) (*alive)->answer(nullptr);
      });
      return;
    }
    auto accepting = name_of(address_);
    PeerName connecting{.address = "10.0.0.1", .port = world.next_port()};
    if (address_.is_unix()) connecting = {.address = "unix", .uid = 1'000, .pid = world.next_port()};
    auto [near, far] = SimSocket::make_pair(
        world,
        {.listener = listener->address().to_string(), .a = std::move(connecting), .b = std::move(accepting)});
    listener->accept(std::move(far));
    world.after(back, [alive = alive_, socket = std::move(near)] {
      if (*alive != nullptr) (*alive)->answer(socket);
    });
  }

  // nullptr: refused.
  void answer(std::shared_ptr<SimSocket> socket) {
    loop_.complete([alive = alive_, socket = std::move(socket)]() mutable {
      if (*alive != nullptr) (*alive)->finish(std::move(socket));
    });
  }
  void finish(std::shared_ptr<SimSocket> socket) {
    if (done_ == nullptr) return;  // the deadline was faster
    timer_.cancel();
    loop_.world().trace(socket == nullptr ? kRefused : kConnected);
    auto done = std::exchange(done_, nullptr);
    if (socket == nullptr) return done(base::fail(connect_error(address_, "Connection refused")));
    socket->attach(loop_);
    done(std::make_unique<SimStream>(std::move(socket)));
  }
  void on_deadline() {
    if (auto done = std::exchange(done_, nullptr)) {
      done(base::fail(connect_error(address_, "Connection timed out")));
    }
  }

  SimLoop& loop_;
  const Address address_;
  ConnectDone done_;
  Timer timer_ = Timer::calling<&SimConnecting::on_deadline>(this);
  const std::shared_ptr<SimConnecting*> alive_ = std::make_shared<SimConnecting*>(this);
};

}  // namespace

SimListener::SimListener(SimLoop& loop, Address address, bool shared, AcceptSink& sink)
    : loop_(loop), address_(address), shared_(shared), sink_(&sink) {
  loop_.world().add(*this);
}

SimListener::~SimListener() {
  *alive_ = nullptr;
  loop_.world().remove(*this);
}

void SimListener::accept(std::shared_ptr<SimSocket> socket) {
  loop_.complete([alive = alive_, socket = std::move(socket)]() mutable {
    if (*alive == nullptr) return;  // the socket dies, which tells its peer
    SimListener& self = **alive;
    self.loop_.world().trace(kAccept, socket->id());
    socket->attach(self.loop_);
    self.sink_->on_accept(std::make_unique<SimStream>(std::move(socket)));
  });
}

SimLoop::SimLoop(SimWorld& world, std::string name, base::Random& random)
    : Loop(random, world.now()), world_(world), name_(std::move(name)), busy_until_(world.now()) {}

SimLoop::~SimLoop() {
  completions_.clear();
  world_.remove(*this);
}

void SimLoop::run() {
  world_.run_until([this] { return stopped(); }, base::kNever);
}

base::TimePoint SimLoop::next_turn() const {
  if (stopped()) return base::kNever;
  const auto due = std::min(wanted_, const_cast<SimLoop*>(this)->timers().next_deadline());
  return due == base::kNever ? due : std::max(due, busy_until_);
}

void SimLoop::complete(std::move_only_function<void()> call) {
  completions_.push_back(std::move(call));
  wake();
}

void SimLoop::wake() {
  wanted_ = std::min(wanted_, world_.now());
}

void SimLoop::turn() {
  world_.trace(kTurn, completions_.size());
  set_now(world_.now());
  wanted_ = base::kNever;
  turning_ = true;
  std::vector<std::move_only_function<void()>> calls;
  calls.swap(completions_);
  for (std::size_t left = calls.size(); left > 1; --left) {
    std::swap(calls[left - 1], calls[world_.random().below(left)]);
  }
  for (auto& call : calls) call();
  finish_turn();
  turning_ = false;
  busy_until_ = world_.now() + world_.turn_cost();
}

base::Result<ListenerPtr> SimLoop::listen(const Address& address, const ListenOptions& options,
                                          AcceptSink& sink) {
  Address wanted = address;
  if (!address.is_unix() && address.port() == 0) wanted = *Address::from_ip(address.ip(), world_.next_port());
  const bool shared = options.reuse_port && !address.is_unix();
  if (world_.is_taken(wanted) && !shared) {
    return base::fail(base::kConnectionFailure,
                      fmt::format("could not listen on {}: Address already in use", wanted.to_string()));
  }
  return std::make_unique<SimListener>(*this, wanted, shared, sink);
}

std::unique_ptr<Connecting> SimLoop::connect(const Address& address, base::TimePoint deadline,
                                             ConnectDone done) {
  auto connecting = std::make_unique<SimConnecting>(*this, address, std::move(done));
  connecting->begin(deadline);
  return connecting;
}

base::Result<StreamPtr> SimLoop::adopt(int descriptor) {
  auto socket = world_.take_descriptor(descriptor);
  if (socket == nullptr) {
    return base::fail(base::kInternalError, fmt::format("{} is not a simulated descriptor", descriptor));
  }
  socket->attach(*this);
  return std::make_unique<SimStream>(std::move(socket));
}

void SimLoop::detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) {
  PENSTOCK_ASSERT(stream->unsent() == 0);
  auto socket = static_cast<SimStream&>(*stream).give_up();
  socket->detach();
  complete([this, socket = std::move(socket), done = std::move(done)]() mutable {
    Detached result{.received = socket->take_received()};
    if (socket->has_ended() && result.received.empty()) {
      return done(base::fail(base::kConnectionFailure, "the connection ended"));
    }
    result.descriptor = world_.put_descriptor(std::move(socket));
    result.close = [world = &world_](int descriptor) {
      if (auto left = world->take_descriptor(descriptor)) left->close();
    };
    done(std::move(result));
  });
}

}  // namespace penstock::io
