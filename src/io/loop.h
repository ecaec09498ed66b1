// Loop: one worker's event loop. Three implementations (io_uring, epoll, simulation); nothing above io can
// tell which.
//
// A turn: take completions and call the sinks; fire timers; run mailbox and deferred calls; flush everything
// written in this turn; wait.
//
// Owner:      the worker, by unique_ptr.
// Home:       LOOP, but for post() and stop(), which any thread may call (SYNC: the mailbox's mutex).
// Bounds:     buffers and descriptors, see each backend.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/intrusive_list.h"
#include "base/random.h"
#include "io/address.h"
#include "io/stream.h"
#include "io/timer_wheel.h"

namespace penstock::io {

struct AcceptSink {
  virtual void on_accept(StreamPtr stream) = 0;
  // There was one more, which the kernel has closed for want of a socket.
  virtual void on_lost() {}

 protected:
  ~AcceptSink() = default;
};

// A listening socket. Destroying it stops listening; connections it accepted stay.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual const Address& address() const = 0;  // with the real port when 0 was asked for
};
using ListenerPtr = std::unique_ptr<Listener>;

struct ListenOptions {
  int backlog = 4096;
  bool reuse_port = true;  // several loops share one address (TCP)
  bool claim = false;      // with reuse_port: fail when anybody listens there already
  int unix_mode = 0777;
};

// A connection attempt under way. Destroying it gives up; the callback then never comes.
class Connecting {
 public:
  virtual ~Connecting() = default;
};
using ConnectDone = std::move_only_function<void(base::Result<StreamPtr>)>;

struct TcpOptions {
  bool keepalive = true;
  std::chrono::seconds keepalive_idle{0};      // 0: the system's default
  std::chrono::seconds keepalive_interval{0};  // 0: the system's default
  int keepalive_count = 0;                     // 0: the system's default
  std::chrono::milliseconds user_timeout{0};   // 0: off
};

// What has written bytes in this turn and wants to send them at its end (sockets, TLS).
class Flushable : public base::ListHook<class FlushTag> {
 public:
  virtual void flush() = 0;

 protected:
  ~Flushable() = default;
};

class Loop {
 public:
  explicit Loop(base::Random& random, base::TimePoint start);
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  virtual std::string_view backend() const = 0;  // "io_uring", "epoll", "simulation"
  // How many sockets this loop can hold when the process has `loops` of them.
  virtual std::size_t sockets_max(unsigned loops) const = 0;
  // Until stop(), and then until every connection is gone, kWindDown at the most. Streams still open at the
  // end are lost with the process.
  virtual void run() = 0;
  static constexpr base::Duration kWindDown = std::chrono::milliseconds(500);

  // --- any thread ---
  void post(std::move_only_function<void()> call);
  void stop();

  // --- the loop's own thread ---
  base::TimePoint now() const { return now_; }  // read once per turn
  TimerWheel& timers() { return timers_; }
  base::Random& random() { return random_; }

  // kFeatureNotSupported when this machine has no such address, or none of its family; kIoError for all else.
  virtual base::Result<ListenerPtr> listen(const Address& address, const ListenOptions& options,
                                           AcceptSink& sink) = 0;
  // Calls `done` later, never from within this call.
  virtual std::unique_ptr<Connecting> connect(const Address& address, base::TimePoint deadline,
                                              ConnectDone done) = 0;
  // Takes over a connected, non-blocking socket from elsewhere (another loop, a socket pair).
  virtual base::Result<StreamPtr> adopt(int descriptor) = 0;
  // Takes a stream out of this loop, for adopt() on another one; nothing may be unsent. `done` gets the
  // descriptor and whatever had been received meanwhile, or an error when the connection ended.
  struct Detached {
    int descriptor = -1;
    std::move_only_function<void(int)> close = {};  // for a descriptor that nobody adopts; any thread
    std::vector<Chunk> received = {};
  };
  virtual void detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) = 0;

  // Runs at the end of this turn, before flushing. For destroying what is still on the stack.
  void defer(std::move_only_function<void()> call) { deferred_.push_back(std::move(call)); }
  void flush_later(Flushable& flushable) {
    if (!flushable.is_linked()) dirty_.push_back(flushable);
  }
  void set_tcp_options(const TcpOptions& options) { tcp_options_ = options; }
  // How long to watch for the next event, using up the core, before sleeping.
  void set_busy_poll(base::Duration time) { busy_poll_ = time; }

  // Sockets, and what else needs this loop to turn until it is gone.
  std::size_t live() const { return live_; }
  // Counts an object of that kind.
  class Live {
   public:
    explicit Live(Loop& loop) : loop_(loop) { ++loop_.live_; }
    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;
    ~Live() { --loop_.live_; }

   private:
    Loop& loop_;
  };

 protected:
  virtual void wake() = 0;  // any thread: makes a waiting run() turn
  // Timers, mailbox, deferred calls, flushes: everything of a turn that is not a completion.
  void finish_turn();
  bool stopped() const { return stop_requested_ && (live_ == 0 || now_ >= wind_down_end_); }
  void set_now(base::TimePoint now) { now_ = now; }
  const TcpOptions& tcp_options() const { return tcp_options_; }
  base::Duration busy_poll() const { return busy_poll_; }
  // A connection attempt that has failed already: says so in the next turn.
  std::unique_ptr<Connecting> refuse_later(base::Error error, ConnectDone done);

 private:
  void run_mailbox();

  base::Random& random_;
  base::TimePoint now_;
  TimerWheel timers_;
  TcpOptions tcp_options_;
  base::Duration busy_poll_{0};
  base::List<Flushable, class FlushTag> dirty_;
  std::vector<std::move_only_function<void()>> deferred_;

  std::mutex mailbox_mutex_;
  std::vector<std::move_only_function<void()>> mailbox_;  // guarded by mailbox_mutex_
  bool stop_requested_ = false;                           // loop thread only; set through the mailbox
  base::TimePoint wind_down_end_ = base::kNever;
  Timer wind_down_timer_ = Timer([](void*) {}, nullptr);  // wakes the loop when winding down takes too long
  std::size_t live_ = 0;
};

enum class Backend { kAuto, kIoUring, kEpoll };

// Builds a loop; kAuto probes io_uring and falls back to epoll, `note` says why it is not io_uring.
struct LoopChoice {
  std::unique_ptr<Loop> loop;
  std::string note;
};
base::Result<LoopChoice> make_loop(Backend backend, base::Random& random);

}  // namespace penstock::io
