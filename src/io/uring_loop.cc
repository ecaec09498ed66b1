#include "io/uring_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/socket_setup.h"
#include "io/uring_socket.h"

namespace penstock::io {

namespace {

constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 16 * 1024;
// Accepts kept under way per listening socket: a burst of connections is taken in one turn.
constexpr std::size_t kAcceptsUnderWay = 16;

// How long completions that should be none of our business may lie there while nothing else happens. A busy loop
// never waits for so long.
constexpr base::Duration kUnseenMax = std::chrono::milliseconds(10);

base::TimePoint steady_now() {
  return std::chrono::steady_clock::now();
}

// Several accepts under way at once, each with an address of its own to write to.
class UringListener final : public Listener {
 public:
  UringListener(UringLoop& loop, int descriptor, AcceptSink& sink)
      : state_(new State(loop, descriptor, sink)), address_(local_address(descriptor)) {
    state_->arm_all();
  }
  ~UringListener() override {
    remove_socket_file(address_);  // while it listens: afterwards a successor may have made its own
    state_->close();
  }
  const Address& address() const override { return address_; }

 private:
  // One accept under way; outlives the listener until the kernel has answered.
  struct State;
  struct Slot final : UringOwner {
    State* state = nullptr;
    sockaddr_storage address{};
    socklen_t size = 0;
    void on_complete(unsigned, int result, unsigned) override { state->accepted(*this, result); }
  };
  struct State {
    State(UringLoop& owner, int listening, AcceptSink& target)
        : loop(owner), descriptor(listening), sink(&target) {
      for (Slot& slot : slots) slot.state = this;
      // SO_PEERCRED needs a real descriptor.
      is_unix = local_address(listening).is_unix();
    }
    void arm_all() {
      for (Slot& slot : slots) arm(slot);
    }
    void arm(Slot& slot) {
      slot.size = sizeof(slot.address);
      ++under_way;
      loop.submit(&slot, 0, [&](io_uring_sqe* sqe) {
        auto* address = reinterpret_cast<sockaddr*>(&slot.address);
        if (is_unix) {
          io_uring_prep_accept(sqe, descriptor, address, &slot.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        } else {
          io_uring_prep_accept(sqe, descriptor, address, &slot.size, 0);
          // Not io_uring_prep_accept_direct(): that of liburing 2.3 turns "any free slot" into "no slot".
          sqe->file_index = IORING_FILE_INDEX_ALLOC;
        }
      });
    }
    void accepted(Slot& slot, int result) {
      --under_way;
      if (result >= 0 && sink != nullptr) {
        UringSocket* socket =
            is_unix ? UringSocket::install(loop, result, peer_name(result))
                    : new UringSocket(loop, result,
                                      peer_name(reinterpret_cast<const sockaddr*>(&slot.address), slot.size));
        sink->on_accept(std::make_unique<UringStream>(socket));
      } else if (result >= 0) {
        auto* socket = is_unix ? UringSocket::install(loop, result, {}) : new UringSocket(loop, result, {});
        socket->close();
      }
      if (sink == nullptr) return release();
      if (result == -ENFILE || result == -EMFILE || result == -ENOMEM || result == -ENOBUFS) {
        // The kernel had accepted it before it found no slot for it. (One that needs a descriptor still waits in line.)
        if (result == -ENFILE && !is_unix) sink->on_lost();
        // No room: try again a little later instead of spinning.
        tired.push_back(&slot);
        if (!rest.armed()) loop.timers().arm(rest, loop.now() + std::chrono::milliseconds(100));
        return;
      }
      arm(slot);
    }
    void after_rest() {
      for (Slot* slot : std::exchange(tired, {})) arm(*slot);
    }
    void close() {
      sink = nullptr;
      rest.cancel();
      loop.submit(nullptr, 0, [&](io_uring_sqe* sqe) {
        io_uring_prep_cancel_fd(sqe, descriptor, IORING_ASYNC_CANCEL_ALL);
      });
      release();
    }
    void release() {
      if (under_way > 0 || descriptor < 0) return;
      ::close(std::exchange(descriptor, -1));
      loop.defer([this] { delete this; });
    }

    UringLoop& loop;
    int descriptor;
    AcceptSink* sink;
    bool is_unix = false;
    std::size_t under_way = 0;
    std::array<Slot, kAcceptsUnderWay> slots;
    std::vector<Slot*> tired;
    Timer rest = Timer::calling<&State::after_rest>(this);
    Loop::Live live{loop};
  };

  State* state_;
  Address address_;
};

class UringConnecting final : public Connecting {
 public:
  UringConnecting(UringLoop& loop, int descriptor, const Address& address, base::TimePoint deadline,
                  ConnectDone done)
      : state_(new State(loop, descriptor, address, std::move(done), this)) {
    state_->start(deadline);
  }
  ~UringConnecting() override {
    if (state_ != nullptr) state_->give_up();
  }

 private:
  struct State final : UringOwner {
    State(UringLoop& owner, int socket, const Address& target, ConnectDone callback, UringConnecting* face_)
        : loop(owner), descriptor(socket), address(target), done(std::move(callback)), face(face_) {}
    void start(base::TimePoint deadline) {
      loop.timers().arm(timer, deadline);
      loop.submit(this, 0, [&](io_uring_sqe* sqe) {
        io_uring_prep_connect(sqe, descriptor, address.data(), address.size());
      });
    }
    void on_complete(unsigned, int result, unsigned) override {
      timer.cancel();
      loop.defer([this] { delete this; });
      if (face == nullptr) {
        ::close(descriptor);
        return;
      }
      face->state_ = nullptr;
      if (result == -ECANCELED && timed_out) result = -ETIMEDOUT;
      if (result < 0) {
        ::close(descriptor);
        return done(base::fail(connect_error(address, -result)));
      }
      PeerName peer = address.is_unix() ? peer_name(descriptor) : peer_name(address.data(), address.size());
      done(std::make_unique<UringStream>(UringSocket::install(loop, descriptor, std::move(peer))));
    }
    void on_deadline() {
      timed_out = true;
      cancel();
    }
    void cancel() {
      loop.submit(nullptr, 0,
                  [&](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, UringLoop::user_data(this, 0), 0); });
    }
    void give_up() {
      face = nullptr;
      timer.cancel();
      cancel();
    }

    UringLoop& loop;
    int descriptor;
    Address address;
    ConnectDone done;
    UringConnecting* face;
    bool timed_out = false;
    Timer timer = Timer::calling<&State::on_deadline>(this);
    Loop::Live live{loop};
  };
  State* state_;
};

}  // namespace

UringLoop::UringLoop(base::Random& random) : Loop(random, steady_now()) {}

UringLoop::~UringLoop() {
  if (ring_open_) {
    buffers_.stop(ring_);
    io_uring_queue_exit(&ring_);
  }
  if (wake_descriptor_ >= 0) close(wake_descriptor_);
}

base::Result<std::unique_ptr<UringLoop>> UringLoop::create(base::Random& random) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto descriptors = static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur, 1U << 20));
  std::unique_ptr<UringLoop> loop(new UringLoop(random));
  if (auto started = loop->start(descriptors); !started) return std::unexpected(started.error());
  return loop;
}

base::Status UringLoop::start(unsigned descriptors) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = kCompletions;
  if (const int error = io_uring_queue_init_params(kSubmissions, &ring_, &params); error != 0) {
    return base::fail(base::errno_error(base::kFeatureNotSupported, "could not create an io_uring", -error));
  }
  ring_open_ = true;
  if (const int error = io_uring_register_files_sparse(&ring_, descriptors); error != 0) {
    return base::fail(
        base::errno_error(base::kFeatureNotSupported, "could not register an io_uring file table", -error));
  }
  descriptors_ = descriptors;
  if (io_uring_probe* probe = io_uring_get_probe_ring(&ring_)) {
    can_give_descriptors_ = io_uring_opcode_supported(probe, kOpFixedFdInstall) != 0;
    io_uring_free_probe(probe);
  }
  if (auto started = buffers_.start(ring_); !started) return started;
  wake_descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_descriptor_ < 0)
    return base::fail(base::errno_error(base::kIoError, "could not create an eventfd", errno));
  return {};
}

io_uring_sqe* UringLoop::submission_after_flush() {
  io_uring_submit(&ring_);
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  PENSTOCK_ASSERT(sqe != nullptr);
  return sqe;
}

void UringLoop::wake() {
  const std::uint64_t one = 1;
  (void)!write(wake_descriptor_, &one, sizeof(one));
}

void UringLoop::arm_wake() {
  submit(this, 0, [&](io_uring_sqe* sqe) { io_uring_prep_poll_multishot(sqe, wake_descriptor_, POLLIN); });
}

void UringLoop::on_complete(unsigned, int, unsigned flags) {
  std::uint64_t count = 0;
  (void)!read(wake_descriptor_, &count, sizeof(count));
  if ((flags & IORING_CQE_F_MORE) == 0) arm_wake();
}

void UringLoop::forget_starved(UringSocket& socket) {
  std::erase(starved_, &socket);
}

// What is done at once has completed when the kernel begins to wait, and is no reason to wake up: so we wait
// for one completion more. Among them may be one that says that a send was cut short: so not for long.
void UringLoop::wait() {
  const unsigned wanted = std::exchange(done_at_once_, 0) + 1;
  if (busy_poll().count() > 0 && watch(wanted)) return;
  const base::TimePoint next = timers().next_deadline();
  if (next == base::kNever && wanted == 1) {
    io_uring_submit_and_wait(&ring_, wanted);
    return;
  }
  auto left = std::max(base::Duration::zero(), next - steady_now());
  if (wanted > 1) left = std::min(left, kUnseenMax);
  __kernel_timespec timeout{.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
  io_uring_cqe* completion = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &completion, wanted, &timeout, nullptr);
}

// Looks at the memory shared with the kernel, without a call, until there is work or it is time to sleep.
bool UringLoop::watch(unsigned wanted) {
  io_uring_submit_and_get_events(&ring_);
  const base::TimePoint until = std::min(steady_now() + busy_poll(), timers().next_deadline());
  do {
    if (io_uring_cq_ready(&ring_) >= wanted) return true;
    if ((IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_TASKRUN) != 0) io_uring_get_events(&ring_);
  } while (steady_now() < until);
  return io_uring_cq_ready(&ring_) >= wanted;
}

void UringLoop::dispatch(const io_uring_cqe& completion) {
  if (completion.user_data == 0) return;
  const auto operation = static_cast<unsigned>(completion.user_data & 15U);
  auto* owner = reinterpret_cast<UringOwner*>(completion.user_data & ~std::uint64_t{15});
  owner->on_complete(operation, completion.res, completion.flags);
}

void UringLoop::run() {
  // liburing 2.3 declares io_uring_enable_rings() but does not export it.
  syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  io_uring_register_ring_fd(&ring_);  // saves a look-up per call; works without
  arm_wake();
  set_now(steady_now());
  while (!stopped()) {
    finish_turn();
    buffers_.publish();
    if (stopped()) break;
    wait();
    set_now(steady_now());
    // Only what is there now: a busy ring must not keep timers and sends waiting.
    unsigned left = io_uring_cq_ready(&ring_);
    io_uring_cqe* next = nullptr;
    while (left > 0 && io_uring_peek_cqe(&ring_, &next) == 0) {
      const io_uring_cqe completion = *next;
      io_uring_cqe_seen(&ring_, next);
      dispatch(completion);
      --left;
    }
    if (!starved_.empty() && buffers_.grow()) {
      for (UringSocket* socket : std::exchange(starved_, {})) socket->receive();
    }
  }
}

base::Result<ListenerPtr> UringLoop::listen(const Address& address, const ListenOptions& options,
                                            AcceptSink& sink) {
  auto descriptor = open_listener(address, options, tcp());
  if (!descriptor) return std::unexpected(descriptor.error());
  return std::make_unique<UringListener>(*this, *descriptor, sink);
}

std::unique_ptr<Connecting> UringLoop::connect(const Address& address, base::TimePoint deadline,
                                               ConnectDone done) {
  auto descriptor = open_connector(address, tcp());
  if (!descriptor) return refuse_later(std::move(descriptor.error()), std::move(done));
  return std::make_unique<UringConnecting>(*this, *descriptor, address, deadline, std::move(done));
}

base::Result<StreamPtr> UringLoop::adopt(int descriptor) {
  return std::make_unique<UringStream>(UringSocket::install(*this, descriptor, peer_name(descriptor)));
}

void UringLoop::detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) {
  static_cast<UringStream&>(*stream).give_up()->take_out(std::move(done));
}

}  // namespace penstock::io
