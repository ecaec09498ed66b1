#include "io/sim_loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Address kServer = *Address::from_ip("10.1.0.1", 5432);

// Notes everything a stream says; a callback after the end, or an empty piece, is a failure.
struct Ear final : StreamSink {
  StreamPtr stream;
  std::string heard;
  int pieces = 0;
  int drained = 0;
  bool ended = false;
  std::optional<base::Error> error;
  std::function<void()> on_piece = [] {};

  void take(StreamPtr taken) {
    stream = std::move(taken);
    stream->set_sink(*this);
  }
  void on_data(Chunk bytes) override {
    EXPECT_FALSE(ended);
    EXPECT_FALSE(bytes.empty());
    ++pieces;
    heard += base::as_text(bytes.view());
    on_piece();
  }
  void on_end(const base::Error* reason) override {
    EXPECT_FALSE(ended);
    ended = true;
    if (reason != nullptr) error = *reason;
  }
  void on_drained() override {
    EXPECT_FALSE(ended);
    ++drained;
  }
};

// Two loops, a listener on one, and what it takes to connect from the other.
struct Net final : AcceptSink {
  explicit Net(std::uint64_t seed = 1, SimFaults faults = {}) : world(seed) {
    world.set_faults(faults);
    near_loop = world.make_loop("near");
    far_loop = world.make_loop("far");
    listener = *far_loop->listen(kServer, {}, *this);
  }
  void on_accept(StreamPtr stream) override { accepted.push_back(std::move(stream)); }

  base::Result<StreamPtr> connect(base::Duration patience = seconds(5)) {
    std::optional<base::Result<StreamPtr>> result;
    const auto connecting = near_loop->connect(
        kServer, world.now() + patience, [&](base::Result<StreamPtr> stream) { result = std::move(stream); });
    EXPECT_FALSE(result.has_value()) << "done came from within connect()";
    EXPECT_TRUE(world.run_until([&] { return result.has_value(); }, world.now() + seconds(60)));
    return *std::move(result);
  }
  // Connects and gives one end to each ear.
  void join(Ear& near, Ear& far) {
    near.take(*connect());
    ASSERT_TRUE(world.run_until([&] { return !accepted.empty(); }, world.now() + seconds(60)));
    far.take(std::move(accepted.back()));
    accepted.pop_back();
  }
  void settle() { world.run_until(world.now() + seconds(100)); }

  SimWorld world;
  std::unique_ptr<SimLoop> near_loop;
  std::unique_ptr<SimLoop> far_loop;
  ListenerPtr listener;
  std::vector<StreamPtr> accepted;
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * i + i / 7) % 26);
  return text;
}

TEST(SimLoop, CarriesBytesBothWays) {
  Net net;
  Ear near;
  Ear far;
  net.join(near, far);
  near.stream->write(base::as_bytes("ping"));
  far.stream->write(base::as_bytes("pong"));
  net.settle();
  EXPECT_EQ(far.heard, "ping");
  EXPECT_EQ(near.heard, "pong");
  EXPECT_GE(near.drained, 1);
  EXPECT_EQ(near.stream->peer().to_string(), "10.1.0.1:5432");
  EXPECT_EQ(far.stream->local().to_string(), "10.1.0.1:5432");
  EXPECT_EQ(far.stream->peer().to_string(), near.stream->local().to_string());
}

TEST(SimLoop, KeepsTheOrderOfBytesHoweverTheyAreCut) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    base::SeededRandom random(seed);
    Net net(seed, SimFaults::calm(random));
    Ear near;
    Ear far;
    net.join(near, far);
    const auto text = pattern(20'000);
    for (std::size_t at = 0; at < text.size(); at += 500) {
      near.stream->write(base::as_bytes(std::string_view(text).substr(at, 500)));
      net.world.run_until(net.world.now() + std::chrono::microseconds(random.below(300)));
    }
    near.stream->shutdown_sending();
    net.settle();
    ASSERT_TRUE(far.heard == text) << "seed " << seed << ": " << far.heard.size() << " bytes";
    ASSERT_TRUE(far.ended);
    ASSERT_FALSE(far.error.has_value());
    EXPECT_GT(far.pieces, 1);
  }
}

TEST(SimLoop, HoldsBackTheWriterWhileTheReaderPauses) {
  Net net(1, {.window_min = 1'000, .window_max = 1'000});
  Ear near;
  Ear far;
  net.join(near, far);
  far.stream->pause_receiving();
  near.stream->write(base::as_bytes(pattern(50'000)));
  net.settle();
  EXPECT_LE(far.heard.size(), 1'000U);
  EXPECT_GE(near.stream->unsent(), 48'000U);
  EXPECT_EQ(near.drained, 0);
  far.stream->resume_receiving();
  net.settle();
  EXPECT_TRUE(far.heard == pattern(50'000));
  EXPECT_EQ(near.stream->unsent(), 0U);
  EXPECT_EQ(near.drained, 1);
}

TEST(SimLoop, SaysNothingOfTheEndWhilePaused) {
  Net net;
  Ear near;
  Ear far;
  net.join(near, far);
  far.stream->pause_receiving();
  near.stream->shutdown_sending();
  net.settle();
  EXPECT_FALSE(far.ended);
  far.stream->resume_receiving();
  net.settle();
  EXPECT_TRUE(far.ended);
}

TEST(SimLoop, AHalfClosedConnectionStillCarriesTheOtherHalf) {
  Net net;
  Ear near;
  Ear far;
  net.join(near, far);
  near.stream->write(base::as_bytes("question"));
  near.stream->shutdown_sending();
  net.settle();
  EXPECT_EQ(far.heard, "question");
  EXPECT_TRUE(far.ended);
  far.stream->write(base::as_bytes("answer"));
  net.settle();
  EXPECT_EQ(near.heard, "answer");
  EXPECT_FALSE(near.ended);
}

TEST(SimLoop, DestroyingAStreamDropsWhatIsUnsentAndEndsThePeer) {
  Net net;
  Ear near;
  Ear far;
  net.join(near, far);
  near.stream->write(base::as_bytes("lost"));
  near.stream.reset();
  net.settle();
  EXPECT_EQ(far.heard, "");
  EXPECT_TRUE(far.ended);
  EXPECT_FALSE(far.error.has_value());
}

TEST(SimLoop, BytesForAStreamThatIsGoneComeBackAsAReset) {
  Net net;
  Ear near;
  Ear far;
  net.join(near, far);
  far.stream.reset();
  near.stream->write(base::as_bytes("anyone?"));
  net.settle();
  ASSERT_TRUE(near.ended);
  EXPECT_TRUE(near.error.has_value() || near.heard.empty());
}

TEST(SimLoop, AStreamMayBeDestroyedInItsOwnCallback) {
  Net net;
  Ear near;
  Ear far;
  net.join(near, far);
  far.on_piece = [&] { far.stream.reset(); };
  near.stream->write(base::as_bytes(pattern(30'000)));
  net.settle();
  EXPECT_EQ(far.pieces, 1);
  EXPECT_TRUE(near.ended);
}

TEST(SimLoop, RefusesConnectsWhereNobodyListens) {
  Net net;
  net.listener.reset();
  const auto result = net.connect();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "could not connect to 10.1.0.1:5432: Connection refused");
}

TEST(SimLoop, ABlackHoleLastsUntilTheDeadline) {
  Net net(1, {.blackhole_percent = 100});
  const auto before = net.world.now();
  const auto result = net.connect(milliseconds(700));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "could not connect to 10.1.0.1:5432: Connection timed out");
  EXPECT_GE(net.world.now(), before + milliseconds(700));
  EXPECT_LT(net.world.now(), before + milliseconds(703));
}

TEST(SimLoop, AnAbandonedConnectNeverCallsBack) {
  Net net;
  bool called = false;
  net.near_loop->connect(kServer, base::kNever, [&](base::Result<StreamPtr>) { called = true; }).reset();
  net.settle();
  EXPECT_FALSE(called);
  net.accepted.clear();
  net.settle();
  EXPECT_EQ(net.world.open_sockets(), 0U);
}

TEST(SimLoop, SharesAnAddressAmongLoopsThatWantIt) {
  Net net;
  struct Other final : AcceptSink {
    int count = 0;
    void on_accept(StreamPtr) override { ++count; }
  } other;
  auto loop = net.world.make_loop("third");
  const auto second = loop->listen(kServer, {}, other);
  ASSERT_TRUE(second.has_value());
  EXPECT_FALSE(loop->listen(kServer, {.reuse_port = false}, other).has_value());
  for (int i = 0; i < 40; ++i) (void)net.connect();
  net.settle();
  EXPECT_GT(other.count, 5);
  EXPECT_GT(net.accepted.size(), 5U);
  EXPECT_EQ(other.count + net.accepted.size(), 40U);
}

TEST(SimLoop, ListensOnEveryAddressAndOnUnixSockets) {
  Net net;
  const auto everywhere = net.far_loop->listen(*Address::from_ip("0.0.0.0", 6432), {}, net);
  const auto path = net.far_loop->listen(*Address::from_path("@penstock"), {}, net);
  ASSERT_TRUE(everywhere.has_value() && path.has_value());
  std::vector<StreamPtr> streams;
  const auto keep = [&](base::Result<StreamPtr> stream) { streams.push_back(std::move(stream).value()); };
  const auto one = net.near_loop->connect(*Address::from_ip("10.9.9.9", 6432), base::kNever, keep);
  const auto two = net.near_loop->connect(*Address::from_path("@penstock"), base::kNever, keep);
  net.settle();
  EXPECT_EQ(streams.size(), 2U);
  ASSERT_EQ(net.accepted.size(), 2U);
  EXPECT_NE(net.accepted[0]->peer().is_unix(), net.accepted[1]->peer().is_unix());
}

TEST(SimLoop, MovesAStreamToAnotherLoopWithWhatHasArrived) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Net net(seed);
    Ear near;
    Ear far;
    net.join(near, far);
    const auto text = pattern(5'000);
    near.stream->write(base::as_bytes(text));
    net.world.run_until(net.world.now() + std::chrono::microseconds(net.world.random().below(300)));
    Ear moved;
    const auto before = far.heard;
    net.far_loop->detach(std::move(far.stream), [&](base::Result<Loop::Detached> detached) {
      ASSERT_TRUE(detached.has_value());
      for (const auto& chunk : detached->received) moved.heard += base::as_text(chunk.view());
      net.near_loop->post([&, fd = detached->descriptor] { moved.take(*net.near_loop->adopt(fd)); });
    });
    net.settle();
    ASSERT_TRUE(before + moved.heard == text) << "seed " << seed;
    EXPECT_EQ(&moved.stream->loop(), net.near_loop.get());
    EXPECT_FALSE(net.near_loop->adopt(12).has_value());
  }
}

TEST(SimLoop, TurnsForPostsAndTimersInVirtualTime) {
  Net net;
  const auto start = net.world.now();
  std::vector<int> order;
  Timer timer([](void* list) { static_cast<std::vector<int>*>(list)->push_back(2); }, &order);
  net.near_loop->timers().arm(timer, start + std::chrono::hours(10));
  net.near_loop->post([&] { order.push_back(1); });
  EXPECT_TRUE(net.world.run_until([&] { return order.size() == 2; }, base::kNever));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(net.near_loop->now(), start + std::chrono::hours(10));
}

TEST(SimLoop, RunEndsWithStop) {
  Net net;
  net.world.after(seconds(5), [&] { net.near_loop->stop(); });
  net.near_loop->run();
  EXPECT_GE(net.world.now().time_since_epoch(), seconds(5));
}

TEST(SimLoop, ConnectsTheTwoEndsOfASocketPair) {
  Net net;
  const auto [a, b] = net.world.socket_pair();
  Ear near;
  Ear far;
  near.take(*net.near_loop->adopt(a));
  far.take(*net.far_loop->adopt(b));
  near.stream->write(base::as_bytes("inside"));
  net.settle();
  EXPECT_EQ(far.heard, "inside");
}

TEST(SimLoop, SilenceEndsWithAResetWhenTheWorldHeals) {
  int silent = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Net net(seed, {.doom_percent = 100, .doom_within = milliseconds(1), .doom_bytes_max = 100});
    Ear near;
    Ear far;
    net.join(near, far);
    near.stream->write(base::as_bytes(pattern(500)));
    net.settle();
    if (near.ended && far.ended) continue;
    ++silent;
    net.world.heal();
    net.settle();
    EXPECT_TRUE(near.ended && far.ended) << "seed " << seed;
  }
  EXPECT_GT(silent, 5);
}

// Everything at once; returns what distinguishes one run from another.
std::uint64_t storm(std::uint64_t seed) {
  base::SeededRandom random(seed);
  Net net(seed, SimFaults::some(random));
  std::vector<std::unique_ptr<Ear>> ears;
  std::vector<std::unique_ptr<Connecting>> connecting;
  for (int i = 0; i < 20; ++i) {
    connecting.push_back(net.near_loop->connect(kServer, net.world.now() + seconds(2), [&](auto stream) {
      if (!stream) return;
      ears.push_back(std::make_unique<Ear>());
      ears.back()->take(*std::move(stream));
      ears.back()->stream->write(base::as_bytes(pattern(net.world.random().below(20'000))));
    }));
  }
  for (int round = 0; round < 50; ++round) {
    net.world.run_until(net.world.now() + milliseconds(50));
    for (auto& stream : std::exchange(net.accepted, {})) {
      ears.push_back(std::make_unique<Ear>());
      ears.back()->take(std::move(stream));
      ears.back()->stream->write(base::as_bytes(pattern(net.world.random().below(20'000))));
    }
  }
  return net.world.trace_hash();
}

TEST(SimLoop, EqualSeedsGiveEqualRunsAndOthersDoNot) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const auto hash = storm(seed);
    EXPECT_EQ(hash, storm(seed)) << "seed " << seed;
    EXPECT_NE(hash, storm(seed + 1'000)) << "seed " << seed;
  }
}

TEST(SimLoop, LeavesNothingOpenOnceAllStreamsAreGone) {
  Net net;
  {
    Ear near;
    Ear far;
    net.join(near, far);
    near.stream->write(base::as_bytes(pattern(3'000)));
  }
  net.settle();
  EXPECT_EQ(net.world.open_sockets(), 0U) << net.world.describe_open_sockets().at(0);
}

}  // namespace
}  // namespace penstock::io
