// Two TlsStreams over a socket pair, on one loop; for the tests of each loop.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>

#include "tls/engine_pair_test.h"
#include "tls/handshake.h"
#include "tls/tls_stream.h"

namespace penstock::tls::testing {

struct Recorder : io::StreamSink {
  std::string received;
  bool ended = false;
  std::string error;
  std::size_t drained = 0;
  std::size_t largest = 0;
  std::move_only_function<void()> changed = [] {};
  void on_data(io::Chunk bytes) override {
    received += base::as_text(bytes.view());
    largest = std::max(largest, bytes.size());
    changed();
  }
  void on_end(const base::Error* reason) override {
    ended = true;
    if (reason != nullptr) error = reason->to_string();
    changed();
  }
  void on_drained() override { ++drained; }
};

// Which loop, and whether the accepting end forgets its handshake.
struct Way {
  io::Backend backend;
  bool compact;
};
constexpr Way kWays[] = {{io::Backend::kEpoll, false},
                         {io::Backend::kIoUring, false},
                         {io::Backend::kEpoll, true},
                         {io::Backend::kIoUring, true}};
inline std::string name_of(const ::testing::TestParamInfo<Way>& info) {
  return std::string(info.param.backend == io::Backend::kEpoll ? "epoll" : "io_uring") +
         (info.param.compact ? "_compact" : "");
}

class TlsStreamTest : public ::testing::TestWithParam<Way> {
 public:
  void SetUp() override {
    auto choice = io::make_loop(GetParam().backend, random_);
    if (!choice) GTEST_SKIP() << choice.error().to_string();
    loop_ = std::move(choice->loop);
  }

  // Runs `body` on the loop and the loop until stop() or 10 s have passed.
  void run(std::move_only_function<void()> body) {
    bool timed_out = false;
    struct Alarm {
      TlsStreamTest* test;
      bool* timed_out;
      void fire() {
        *timed_out = true;
        test->stop();
      }
    } alarm{this, &timed_out};
    io::Timer timer = io::Timer::calling<&Alarm::fire>(&alarm);
    loop_->post([&] {
      loop_->timers().arm(timer, loop_->now() + std::chrono::seconds(10));
      body();
    });
    loop_->run();
    EXPECT_FALSE(timed_out) << "nothing came of it within 10 s";
  }
  void stop() {
    loop_->defer([this] {
      accepting_ = {};
      connecting_ = {};
      server.reset();
      client.reset();
      raw_.reset();
      loop_->stop();
    });
  }

  // Calls back after a while.
  void after(std::chrono::milliseconds pause, std::move_only_function<void()> call) {
    later_ = std::move(call);
    loop_->timers().arm(later_timer_, loop_->now() + pause);
  }

  void socket_pair(io::StreamPtr& left, io::StreamPtr& right) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    auto first = loop_->adopt(ends[0]);
    auto second = loop_->adopt(ends[1]);
    ASSERT_TRUE(first && second);
    left = std::move(*first);
    right = std::move(*second);
  }

  // Both handshakes; `opened` is called when both ends are there (or have failed).
  void open(std::move_only_function<void()> opened, const ClientOptions& client_options = {},
            ServerOptions server_options = {}) {
    if (server_options.cert_file.empty()) server_options = contexts.server_options();
    server_options.compact = GetParam().compact;
    opened_ = std::move(opened);
    io::StreamPtr left, right;
    socket_pair(left, right);
    const base::TimePoint deadline = loop_->now() + std::chrono::seconds(5);
    accepting_ = accept(std::move(left), contexts.server(server_options), {.deadline = deadline});
    connecting_ = connect(std::move(right), contexts.client(client_options),
                          {.host = "localhost", .deadline = deadline, .direct = true});
    accepting_.start([this] {
      auto result = accepting_.take_result();
      if (result) server = std::move(*result);
      if (!result) server_error = result.error().to_string();
      if (++finished_ == 2) opened_();
    });
    connecting_.start([this] {
      auto result = connecting_.take_result();
      if (result) client = std::move(*result);
      if (!result) client_error = result.error().to_string();
      if (++finished_ == 2) opened_();
    });
  }

  Contexts contexts;
  base::SystemRandom random_;
  std::unique_ptr<io::Loop> loop_;
  io::Task<base::Result<TlsStreamPtr>> accepting_, connecting_;
  std::move_only_function<void()> opened_;
  int finished_ = 0;
  std::move_only_function<void()> later_;
  void call_later() { std::exchange(later_, nullptr)(); }  // it may say what comes after it
  io::Timer later_timer_ = io::Timer::calling<&TlsStreamTest::call_later>(this);
  TlsStreamPtr server, client;
  io::StreamPtr raw_;
  std::string server_error, client_error;
};

}  // namespace penstock::tls::testing
