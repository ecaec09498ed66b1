// TlsStream and peers that do what a well-behaved one never does, on every loop.
#include "tls/tls_stream_test.h"

namespace penstock::tls {
namespace {

using testing::Recorder;

// A client that makes records by hand.
class TlsStreamPeerTest : public testing::TlsStreamTest {
 public:
  struct Wire final : Engine::Output {
    io::Stream* raw = nullptr;
    void on_encrypted(base::ByteView bytes) override { raw->write(bytes); }
  };

  // From here on the client is only its engine: nobody reads what the server says.
  void take_client_apart() {
    server->forget_handshake();
    TlsStream::Parts parts = TlsStream::take_apart(std::move(client));
    raw_ = std::move(parts.raw);
    engine_ = std::move(parts.engine);
    raw_->pause_receiving();
    raw_->set_sink(at_raw);
    wire_.raw = raw_.get();
    engine_->set_output(&wire_);
  }
  void update_keys(int count, int kind) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(SSL_key_update(engine_->native_for_test(), kind), 1);
      ASSERT_EQ(SSL_do_handshake(engine_->native_for_test()), 1);
    }
  }

  Recorder at_server, at_client, at_raw;
  Wire wire_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(TlsStreamPeerTest, EndsAPeerThatWantsAnswersAndReadsNone) {
  int rounds = 0;
  std::size_t most_unsent = 0;
  std::function<void()> flood = [&] {
    if (at_server.ended || ++rounds == 400) return stop();
    most_unsent = std::max(most_unsent, server->unsent());
    // Some data now and then, as a client would send that is in the middle of its log-in.
    update_keys(250, SSL_KEY_UPDATE_REQUESTED);
    EXPECT_TRUE(engine_->write(base::as_bytes("x")));
    after(std::chrono::milliseconds(2), [&] { flood(); });
  };
  run([&] {
    open([&] {
      ASSERT_TRUE(server && client) << server_error << client_error;
      server->set_sink(at_server);
      client->set_sink(at_client);
      // Once the server's ticket has arrived.
      after(std::chrono::milliseconds(20), [&] {
        take_client_apart();
        flood();
      });
    });
  });
  EXPECT_TRUE(at_server.ended);
  EXPECT_NE(at_server.error.find("does not read"), std::string::npos) << at_server.error;
  EXPECT_LT(most_unsent, 128U * 1024);
}

TEST_P(TlsStreamPeerTest, EndsAPeerThatSendsManyRecordsWithoutData) {
  run([&] {
    at_server.changed = [&] { stop(); };
    open([&] {
      ASSERT_TRUE(server && client) << server_error << client_error;
      server->set_sink(at_server);
      client->set_sink(at_client);
      after(std::chrono::milliseconds(20), [&] {
        take_client_apart();
        update_keys(5'000, SSL_KEY_UPDATE_NOT_REQUESTED);
        EXPECT_TRUE(engine_->write(base::as_bytes("x")));
      });
    });
  });
  EXPECT_TRUE(at_server.ended);
  EXPECT_NE(at_server.error.find("without data"), std::string::npos) << at_server.error;
}

TEST_P(TlsStreamPeerTest, FollowsAPeerThatChangesItsKeysAsItGoes) {
  run([&] {
    at_server.changed = [&] {
      if (at_server.ended || at_server.received.size() == 3'000) stop();
    };
    open([&] {
      ASSERT_TRUE(server && client) << server_error << client_error;
      server->set_sink(at_server);
      client->set_sink(at_client);
      after(std::chrono::milliseconds(20), [&] {
        take_client_apart();
        for (int i = 0; i < 3'000; ++i) {
          update_keys(1, SSL_KEY_UPDATE_NOT_REQUESTED);
          EXPECT_TRUE(engine_->write(base::as_bytes("x")));
        }
      });
    });
  });
  EXPECT_FALSE(at_server.ended) << at_server.error;
}

// A connection below whose owner counts what it is asked, and says that all has been sent when it likes.
struct Asked final : io::Stream {
  explicit Asked(io::StreamPtr stream) : below(std::move(stream)) {}
  void set_sink(io::StreamSink& to) override {
    sink = &to;
    below->set_sink(to);
  }
  void write(io::Chunk bytes) override { below->write(std::move(bytes)); }
  std::size_t unsent() const override { return below->unsent(); }
  void want_drained() override { ++times; }
  bool has_ended() const override { return below->has_ended(); }
  void pause_receiving() override { below->pause_receiving(); }
  void resume_receiving() override { below->resume_receiving(); }
  void shutdown_sending() override { below->shutdown_sending(); }
  const io::PeerName& peer() const override { return below->peer(); }
  io::PeerName local() const override { return below->local(); }
  io::Loop& loop() override { return below->loop(); }

  io::StreamPtr below;
  io::StreamSink* sink = nullptr;
  int times = 0;
};

TEST_P(TlsStreamPeerTest, AsksAgainWhenItWasAnOlderSendThatIsDone) {
  Asked* asked = nullptr;
  int before = 0;
  int after_flush = 0;
  int when_told = 0;
  run([&] {
    open([&] {
      ASSERT_TRUE(server && client) << server_error << client_error;
      server->set_sink(at_server);
      client->set_sink(at_client);
      after(std::chrono::milliseconds(20), [&] {
        TlsStream::Parts parts = TlsStream::take_apart(std::move(server));
        auto counting = std::make_unique<Asked>(std::move(parts.raw));
        asked = counting.get();
        parts.raw = std::move(counting);
        server = TlsStream::assemble(std::move(parts));
        server->set_sink(at_server);
        server->write(base::as_bytes("x"));
        server->want_drained();
        asked->sink->on_drained();  // what went before
        before = asked->times;
        after(std::chrono::milliseconds(20), [&] {
          after_flush = asked->times;
          server->write(base::as_bytes("x"));
          after(std::chrono::milliseconds(20), [&] {
            when_told = asked->times;
            stop();
          });
        });
      });
    });
  });
  EXPECT_EQ(before, 1);
  EXPECT_EQ(after_flush, 2);
  EXPECT_EQ(when_told, 2);  // it has been told since: nobody waits any more
}

INSTANTIATE_TEST_SUITE_P(Ways, TlsStreamPeerTest, ::testing::ValuesIn(testing::kWays), testing::name_of);

}  // namespace
}  // namespace penstock::tls
