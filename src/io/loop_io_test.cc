// The contract of Loop and Stream, held against each real backend.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>

#include "io/loop.h"
#include "io/uring_loop.h"

namespace penstock::io {
namespace {

class LoopTest : public testing::TestWithParam<Backend> {
 public:
  void SetUp() override {
    auto choice = make_loop(GetParam(), random_);
    ASSERT_TRUE(choice) << choice.error().to_string();
    loop_ = std::move(choice->loop);
  }
  // Runs `body` on the loop's own thread and the loop until somebody stops it.
  template <class Body>
  void run(Body body) {
    loop_->post(std::move(body));
    std::thread watchdog([this] {
      for (int i = 0; i < 2000 && !finished_; ++i) usleep(10'000);
      if (!finished_) loop_->stop();
    });
    loop_->run();
    EXPECT_TRUE(stopped_by_test_) << "the test did not come to its end within 20 s";
    finished_ = true;
    watchdog.join();
  }
  void done() {
    stopped_by_test_ = true;
    loop_->post([this] {
      listener.reset();
      left.reset();
      right.reset();
    });
    loop_->stop();
  }

  base::SystemRandom random_;
  std::unique_ptr<Loop> loop_;
  ListenerPtr listener;
  StreamPtr left, right;
  std::atomic<bool> finished_ = false;
  bool stopped_by_test_ = false;
};

struct Recorder : StreamSink {
  std::string received;
  bool ended = false;
  std::move_only_function<void()> changed = [] {};
  void on_data(Chunk bytes) override {
    received += base::as_text(bytes.view());
    changed();
  }
  void on_end(const base::Error*) override {
    ended = true;
    changed();
  }
};

struct Acceptor : AcceptSink {
  std::move_only_function<void(StreamPtr)> call;
  void on_accept(StreamPtr stream) override { call(std::move(stream)); }
};

TEST_P(LoopTest, EchoesOverTcpAndSeesTheOrderlyEnd) {
  Acceptor acceptor;
  StreamPtr& server = left;
  StreamPtr& client = right;
  std::unique_ptr<Connecting> connecting;
  Recorder at_server, at_client;
  run([&] {
    acceptor.call = [&](StreamPtr stream) {
      server = std::move(stream);
      EXPECT_EQ(server->peer().address, "127.0.0.1");
      EXPECT_GT(server->peer().port, 0);
      at_server.changed = [&] {
        if (at_server.received == "hello") {
          server->write(base::as_bytes("hel"));
          server->write(base::as_bytes("lo back"));
          finish(std::move(server));
        }
      };
      server->set_sink(at_server);
    };
    auto listening = loop_->listen(*Address::from_ip("127.0.0.1", 0), {}, acceptor);
    ASSERT_TRUE(listening) << listening.error().to_string();
    listener = std::move(*listening);
    connecting = loop_->connect(listener->address(), loop_->now() + std::chrono::seconds(5),
                                [&](base::Result<StreamPtr> stream) {
                                  ASSERT_TRUE(stream) << stream.error().to_string();
                                  client = std::move(*stream);
                                  at_client.changed = [&] {
                                    if (at_client.ended) done();
                                  };
                                  client->set_sink(at_client);
                                  client->write(base::as_bytes("hello"));
                                });
  });
  EXPECT_EQ(at_client.received, "hello back");
}

TEST_P(LoopTest, SharesAPortOnlyWithThoseWhoDoNotClaimIt) {
  Acceptor acceptor;
  run([&] {
    listener = std::move(*loop_->listen(*Address::from_ip("127.0.0.1", 0), {.claim = true}, acceptor));
    EXPECT_TRUE(loop_->listen(listener->address(), {}, acceptor));
    const auto claimed = loop_->listen(listener->address(), {.claim = true}, acceptor);
    ASSERT_FALSE(claimed);
    EXPECT_EQ(claimed.error().hint, "Is another server already running there?");
    done();
  });
}

// "*" is content without IPv6, but not with an address that somebody else has.
TEST_P(LoopTest, TellsAnAddressThatIsNotOfThisMachineFromOneInUse) {
  Acceptor acceptor;
  run([&] {
    const auto foreign = loop_->listen(*Address::from_ip("192.0.2.1", 0), {}, acceptor);
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error().sqlstate, base::kFeatureNotSupported);
    listener = std::move(*loop_->listen(*Address::from_ip("127.0.0.1", 0), {}, acceptor));
    const auto used = loop_->listen(listener->address(), {.reuse_port = false}, acceptor);
    ASSERT_FALSE(used);
    EXPECT_EQ(used.error().sqlstate, base::kIoError);
    done();
  });
}

TEST_P(LoopTest, TakesTheFileOfItsUnixSocketAway) {
  Acceptor acceptor;
  const std::string path = testing::TempDir() + "loop_io_test." + std::to_string(getpid());
  run([&] {
    listener = std::move(*loop_->listen(*Address::from_path(path), {}, acceptor));
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
    listener.reset();
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    done();
  });
}

// Somebody listens there whose backlog is full: a stopped process, say.
TEST_P(LoopTest, DoesNotWaitForABusyOwnerOfItsUnixSocket) {
  const std::string path = testing::TempDir() + "loop_io_test.busy." + std::to_string(getpid());
  const Address address = *Address::from_path(path);
  const int owner = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(owner, address.data(), address.size()), 0);
  ASSERT_EQ(::listen(owner, 0), 0);
  const int waiting = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(connect(waiting, address.data(), address.size()), 0);
  std::atomic<bool> answered = false;
  std::atomic<bool> in_time = false;
  std::thread patience([&] {
    for (int i = 0; i < 200 && !answered; ++i) usleep(10'000);
    in_time = answered.load();
    close(accept(owner, nullptr, nullptr));  // makes room
  });
  Acceptor acceptor;
  run([&] {
    const auto listening = loop_->listen(address, {}, acceptor);
    answered = true;
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error().hint, "Is another server already running there?");
    done();
  });
  patience.join();
  EXPECT_TRUE(in_time);
  close(waiting);
  close(owner);
  unlink(path.c_str());
}

// A loop that stops waits for its last streams, so what lingers shows in the time that takes.
TEST_P(LoopTest, FinishesAStreamThatHasEndedAtOnce) {
  Acceptor acceptor;
  std::unique_ptr<Connecting> connecting;
  Recorder at_server;
  bool had_ended = false;
  std::chrono::steady_clock::time_point begun;
  run([&] {
    acceptor.call = [&](StreamPtr stream) {
      left = std::move(stream);
      at_server.changed = [&] {
        had_ended = left->has_ended();
        finish(std::move(left), std::chrono::seconds(30));
        begun = std::chrono::steady_clock::now();
        done();
      };
      left->set_sink(at_server);
    };
    auto listening = loop_->listen(*Address::from_ip("127.0.0.1", 0), {}, acceptor);
    ASSERT_TRUE(listening) << listening.error().to_string();
    listener = std::move(*listening);
    connecting = loop_->connect(listener->address(), loop_->now() + std::chrono::seconds(5),
                                [](base::Result<StreamPtr> stream) {
                                  ASSERT_TRUE(stream) << stream.error().to_string();
                                  stream->reset();
                                });
  });
  EXPECT_TRUE(had_ended);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(300));
}

TEST_P(LoopTest, ReportsARefusedConnection) {
  std::unique_ptr<Connecting> connecting;
  std::string message;
  run([&] {
    connecting = loop_->connect(*Address::from_ip("127.0.0.1", 1), loop_->now() + std::chrono::seconds(5),
                                [&](base::Result<StreamPtr> stream) {
                                  ASSERT_FALSE(stream);
                                  message = stream.error().message;
                                  done();
                                });
  });
  EXPECT_NE(message.find("127.0.0.1:1"), std::string::npos) << message;
  EXPECT_NE(message.find("refused"), std::string::npos) << message;
}

TEST_P(LoopTest, PausedStreamsReceiveNoMoreThanWasUnderWay) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  Recorder at_left, at_right;
  std::size_t unsent = 0;
  struct Later {
    LoopTest* test;
    std::size_t* unsent;
    void look() {
      *unsent = test->left->unsent();
      test->done();
    }
  } look{this, &unsent};
  Timer later = Timer::calling<&Later::look>(&look);
  const std::string block(1 << 20, 'x');
  run([&] {
    left = *loop_->adopt(pair[0]);
    right = *loop_->adopt(pair[1]);
    left->set_sink(at_left);
    right->set_sink(at_right);
    at_right.changed = [&] { right->pause_receiving(); };
    for (int i = 0; i < 8; ++i) left->write(base::as_bytes(block));
    loop_->timers().arm(later, loop_->now() + std::chrono::milliseconds(200));
  });
  EXPECT_GT(at_right.received.size(), 0U);
  EXPECT_LT(at_right.received.size(), 1U << 20);
  EXPECT_GT(unsent, 6U << 20);
}

// On an older kernel, all receives of the first turn are refused because of their bound.
TEST_P(LoopTest, StreamsThatBeginInOneTurnAllReceiveWhereTheKernelKnowsNoBound) {
  if (auto* uring = dynamic_cast<UringLoop*>(loop_.get()); uring != nullptr) uring->refuse_bounds_for_test();
  int first[2], second[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, first), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, second), 0);
  Recorder at_left, at_right;
  run([&] {
    left = *loop_->adopt(first[0]);
    right = *loop_->adopt(second[0]);
    const auto look = [&] {
      if (at_left.received + at_right.received == "xx" || at_left.ended || at_right.ended) done();
    };
    at_left.changed = look;
    at_right.changed = look;
    left->set_sink(at_left);
    right->set_sink(at_right);
    EXPECT_EQ(write(first[1], "x", 1), 1);
    EXPECT_EQ(write(second[1], "x", 1), 1);
  });
  EXPECT_FALSE(at_left.ended || at_right.ended);
  EXPECT_EQ(at_left.received + at_right.received, "xx");
  close(first[1]);
  close(second[1]);
}

TEST_P(LoopTest, MovesManyMegabytesWithPauses) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  struct Counting : StreamSink {
    Stream* stream = nullptr;
    Loop* loop = nullptr;
    std::size_t bytes = 0;
    std::size_t target = 0;
    bool in_order = true;
    std::move_only_function<void()> complete;
    void on_data(Chunk chunk) override {
      for (const std::uint8_t byte : chunk.view())
        in_order &= byte == static_cast<std::uint8_t>((bytes++) % 251);
      stream->pause_receiving();
      loop->defer([this] {
        if (bytes < target) stream->resume_receiving();
      });
      if (bytes == target) complete();
    }
    void on_end(const base::Error*) override {}
  } counting;
  Recorder ignore;
  std::string block(3'000'000, ' ');
  run([&] {
    left = *loop_->adopt(pair[0]);
    right = *loop_->adopt(pair[1]);
    counting.stream = right.get();
    counting.loop = loop_.get();
    counting.target = block.size() * 10;
    counting.complete = [&] { done(); };
    left->set_sink(ignore);
    right->set_sink(counting);
    std::size_t at = 0;
    for (int i = 0; i < 10; ++i) {
      for (char& c : block) c = static_cast<char>((at++) % 251);
      left->write(base::as_bytes(block));
    }
  });
  EXPECT_TRUE(counting.in_order);
  EXPECT_EQ(counting.bytes, counting.target);
}

TEST_P(LoopTest, AStreamMayBeDestroyedInItsOwnCallback) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  Recorder at_left, at_right;
  run([&] {
    left = *loop_->adopt(pair[0]);
    right = *loop_->adopt(pair[1]);
    at_right.changed = [&] { right.reset(); };
    at_left.changed = [&] {
      if (at_left.ended) done();
    };
    left->set_sink(at_left);
    right->set_sink(at_right);
    left->write(base::as_bytes("x"));
  });
}

TEST_P(LoopTest, DetachedSocketsGoOnElsewhere) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  Recorder at_right, again;
  run([&] {
    right = *loop_->adopt(pair[1]);
    right->set_sink(at_right);
    at_right.changed = [&] {
      loop_->detach(std::move(right), [&](base::Result<Loop::Detached> detached) {
        ASSERT_TRUE(detached) << detached.error().to_string();
        right = *loop_->adopt(detached->descriptor);
        again.changed = [&] { done(); };
        right->set_sink(again);
        EXPECT_EQ(write(pair[0], "two", 3), 3);
      });
    };
    EXPECT_EQ(write(pair[0], "one", 3), 3);
  });
  EXPECT_EQ(at_right.received, "one");
  EXPECT_EQ(again.received, "two");
  close(pair[0]);
}

// A connection whose other end is no stream of this loop: nothing but its own sends wakes the loop.
struct LonelyStream {
  LonelyStream() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  ~LonelyStream() { close(ends[1]); }
  // Everything that comes within two seconds, until it is `wanted`.
  std::string read_until(std::string_view wanted) const {
    const timeval patience{.tv_sec = 2, .tv_usec = 0};
    setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    std::string all;
    std::array<char, 64> bytes{};
    while (all != wanted) {
      const ssize_t size = ::read(ends[1], bytes.data(), bytes.size());
      if (size <= 0) break;
      all.append(bytes.data(), static_cast<std::size_t>(size));
    }
    return all;
  }
  int ends[2] = {-1, -1};
};

TEST_P(LoopTest, WhatIsWrittenBehindASendLeavesWithoutAnotherEvent) {
  struct Follower : Flushable {
    explicit Follower(Stream& to) : stream(to) {}
    void flush() override { stream.write(base::as_bytes("b")); }
    Stream& stream;
  };
  const LonelyStream lonely;
  Recorder recorder;
  std::unique_ptr<Follower> follower;
  std::string read;
  std::thread reader;
  run([&] {
    left = *loop_->adopt(lonely.ends[0]);
    left->set_sink(recorder);
    follower = std::make_unique<Follower>(*left);
    // Later, when the descriptor has been taken in.
    reader = std::thread([&] {
      usleep(50'000);
      loop_->post([&] {
        left->write(base::as_bytes("a"));
        loop_->flush_later(*follower);
      });
      read = lonely.read_until("ab");
      done();
    });
  });
  reader.join();
  EXPECT_EQ(read, "ab");
}

// The kernel takes only the first part of the send, and then nothing happens but the peer's reading.
TEST_P(LoopTest, TheRestOfASmallSendLeavesWithoutAnotherEvent) {
  const LonelyStream lonely;
  const int smallest = 0;  // the kernel takes its own minimum
  setsockopt(lonely.ends[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest));
  const std::string sent(10'000, 'x');
  Recorder recorder;
  std::string read;
  std::thread reader;
  run([&] {
    left = *loop_->adopt(lonely.ends[0]);
    left->set_sink(recorder);
    reader = std::thread([&] {
      usleep(50'000);  // when the descriptor has been taken in
      loop_->post([&] { left->write(base::as_bytes(sent)); });
      usleep(50'000);
      read = lonely.read_until(sent);
      done();
    });
  });
  reader.join();
  EXPECT_EQ(read.size(), sent.size());
}

TEST_P(LoopTest, WhoWantsToKnowIsToldOfASmallSend) {
  struct Waiter : StreamSink {
    explicit Waiter(std::move_only_function<void()> call) : drained(std::move(call)) {}
    void on_data(Chunk) override {}
    void on_end(const base::Error*) override {}
    void on_drained() override { drained(); }
    std::move_only_function<void()> drained;
  };
  const LonelyStream lonely;
  std::atomic<bool> told = false;
  Waiter waiter([&] { told = true; });
  std::thread clock;
  run([&] {
    left = *loop_->adopt(lonely.ends[0]);
    left->set_sink(waiter);
    left->write(base::as_bytes("a"));
    left->want_drained();
    clock = std::thread([&] {
      for (int i = 0; i < 200 && !told; ++i) usleep(10'000);
      EXPECT_TRUE(told);  // by itself: the call below would wake the loop
      done();
    });
  });
  clock.join();
}

TEST_P(LoopTest, PostsFromOtherThreadsWakeTheLoop) {
  int seen = 0;
  std::thread other;
  run([&] {
    other = std::thread([&] {
      for (int i = 0; i < 1000; ++i) {
        loop_->post([&] {
          if (++seen == 1000) done();
        });
      }
    });
  });
  other.join();
  EXPECT_EQ(seen, 1000);
}

INSTANTIATE_TEST_SUITE_P(Backends, LoopTest, testing::Values(Backend::kIoUring, Backend::kEpoll),
                         [](const auto& info) {
                           return info.param == Backend::kIoUring ? "IoUring" : "Epoll";
                         });

}  // namespace
}  // namespace penstock::io
