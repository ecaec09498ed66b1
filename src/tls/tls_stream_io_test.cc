// TlsStream over real sockets, on every loop.
#include "tls/tls_stream_test.h"

namespace penstock::tls {
namespace {

using testing::Recorder;
using testing::TlsStreamTest;

TEST_P(TlsStreamTest, CarriesAQuestionAndItsAnswer) {
  Recorder at_server, at_client;
  run([&] {
    at_server.changed = [&] {
      if (at_server.received == "question") server->write(base::as_bytes("answer"));
    };
    at_client.changed = [&] {
      if (at_client.received == "answer") stop();
    };
    open([&] {
      ASSERT_TRUE(server && client) << server_error << client_error;
      server->set_sink(at_server);
      client->set_sink(at_client);
      EXPECT_EQ(server->engine().server_name(), "localhost");
      server->forget_handshake();
      client->write(base::as_bytes("ques"));
      client->write(base::as_bytes("tion"));
      EXPECT_EQ(client->unsent(), 8u);
    });
  });
  EXPECT_EQ(at_client.received, "answer");
  EXPECT_EQ(at_server.received, "question");
  EXPECT_GE(at_client.drained, 1u);
}

TEST_P(TlsStreamTest, KeepsWhatArrivesBeforeThereIsASink) {
  Recorder at_server, at_client;
  run([&] {
    at_server.changed = [&] {
      if (at_server.received.size() == 300'000) stop();
    };
    open([&] {
      ASSERT_TRUE(server && client);
      client->set_sink(at_client);
      client->write(base::as_bytes(std::string(300'000, 'x')));
      after(std::chrono::milliseconds(30), [&] { server->set_sink(at_server); });
    });
  });
  EXPECT_EQ(at_server.received, std::string(300'000, 'x'));
}

TEST_P(TlsStreamTest, TellsAnEndThatCameBeforeThereWasASink) {
  Recorder at_server, at_client;
  run([&] {
    at_server.changed = [&] {
      if (at_server.ended) stop();
    };
    open([&] {
      ASSERT_TRUE(server && client);
      client->set_sink(at_client);
      client->write(base::as_bytes("last words"));
      client->shutdown_sending();
      after(std::chrono::milliseconds(30), [&] { server->set_sink(at_server); });
    });
  });
  EXPECT_EQ(at_server.received, "last words");
  EXPECT_EQ(at_server.error, "");
}

// Sends `total` bytes as a session does: never more than kUnsentHigh unsent.
struct Sender final : Recorder {
  io::Stream* stream = nullptr;
  std::size_t total = 0;
  std::size_t sent = 0;
  std::size_t most_unsent = 0;
  void fill() {
    while (sent < total && stream->unsent() < io::kUnsentHigh) {
      const std::size_t size = std::min<std::size_t>(total - sent, 1 + sent % 9973);
      io::Chunk chunk = io::Chunk::allocate(size);
      for (std::size_t i = 0; i < size; ++i) chunk.fill()[i] = static_cast<std::uint8_t>((sent + i) % 251);
      sent += size;
      stream->write(std::move(chunk));
    }
    most_unsent = std::max(most_unsent, stream->unsent());
  }
  void on_drained() override { fill(); }
};

TEST_P(TlsStreamTest, CarriesManyMegabytesInLittleMemory) {
  constexpr std::size_t kTotal = 24'000'000;
  Sender sender;
  Recorder at_client;
  std::size_t checked = 0;
  bool intact = true;
  run([&] {
    at_client.changed = [&] {
      for (const char byte : at_client.received) intact &= static_cast<std::uint8_t>(byte) == checked++ % 251;
      at_client.received.clear();
      if (checked == kTotal) return stop();
      // A reader that stops now and then.
      if (checked / 1'000'000 > at_client.drained) {
        at_client.drained = checked / 1'000'000;
        client->pause_receiving();
        after(std::chrono::milliseconds(2), [&] { client->resume_receiving(); });
      }
    };
    open([&] {
      ASSERT_TRUE(server && client);
      sender.stream = server.get();
      sender.total = kTotal;
      server->set_sink(sender);
      client->set_sink(at_client);
      sender.fill();
    });
  });
  EXPECT_EQ(checked, kTotal);
  EXPECT_TRUE(intact);
  EXPECT_LT(sender.most_unsent, 2 * io::kUnsentHigh);
  EXPECT_LE(at_client.largest, Engine::kRecordMax);
}

TEST_P(TlsStreamTest, DeliversLittleWhilePaused) {
  Recorder at_server, at_client;
  run([&] {
    open([&] {
      ASSERT_TRUE(server && client);
      client->set_sink(at_client);
      server->set_sink(at_server);
      server->pause_receiving();
      client->write(base::as_bytes(std::string(4'000'000, 'x')));
      after(std::chrono::milliseconds(100), [&] { stop(); });
    });
  });
  EXPECT_LE(at_server.received.size(), 256u * 1024);
}

TEST_P(TlsStreamTest, EndsPolitely) {
  Recorder at_server, at_client;
  run([&] {
    at_server.changed = [&] {
      if (at_server.ended) stop();
    };
    open([&] {
      ASSERT_TRUE(server && client);
      server->set_sink(at_server);
      client->set_sink(at_client);
      client->write(base::as_bytes("good"));
      client->write(base::as_bytes("bye"));
      io::finish(std::move(client));
    });
  });
  EXPECT_EQ(at_server.received, "goodbye");
  EXPECT_EQ(at_server.error, "");
}

TEST_P(TlsStreamTest, TakesAnEndWithoutNoticeAsOrderly) {
  Recorder at_server, at_client;
  run([&] {
    at_server.changed = [&] {
      if (at_server.ended) stop();
    };
    open([&] {
      ASSERT_TRUE(server && client);
      server->set_sink(at_server);
      client->set_sink(at_client);
      after(std::chrono::milliseconds(20), [&] { client.reset(); });  // once the server's ticket has arrived
    });
  });
  EXPECT_EQ(at_server.error, "");
}

TEST_P(TlsStreamTest, MayBeDestroyedByItsOwnCallbacks) {
  for (const char* where : {"data", "end", "drained"}) {
    struct Destroyer final : io::StreamSink {
      TlsStreamTest* test;
      std::string where;
      void act(std::string_view what) {
        if (what != where) return;
        test->server.reset();
        test->stop();
      }
      void on_data(io::Chunk) override { act("data"); }
      void on_end(const base::Error*) override { act("end"); }
      void on_drained() override { act("drained"); }
    } destroyer;
    destroyer.test = this;
    destroyer.where = where;
    Recorder at_client;
    auto choice = io::make_loop(GetParam().backend, random_);
    ASSERT_TRUE(choice);
    loop_ = std::move(choice->loop);
    finished_ = 0;
    run([&] {
      open([&] {
        ASSERT_TRUE(server && client);
        server->set_sink(destroyer);
        client->set_sink(at_client);
        server->write(base::as_bytes("x"));
        if (destroyer.where == "drained") return;  // an end might come first
        client->write(base::as_bytes(std::string(100'000, 'x')));
        client->shutdown_sending();
      });
    });
    EXPECT_EQ(server, nullptr) << where;
  }
}

TEST_P(TlsStreamTest, GivesUpAHandshakeAtItsDeadline) {
  std::string error;
  run([&] {
    io::StreamPtr left;
    socket_pair(left, raw_);
    accepting_ = accept(std::move(left), contexts.server(),
                        {.deadline = loop_->now() + std::chrono::milliseconds(20)});
    accepting_.start([&] {
      error = accepting_.take_result().error().to_string();
      stop();
    });
  });
  EXPECT_NE(error.find("TLS handshake timed out"), std::string::npos) << error;
}

TEST_P(TlsStreamTest, MayBeDestroyedDuringItsHandshake) {
  Recorder at_raw;
  run([&] {
    at_raw.changed = [&] {
      if (at_raw.ended) stop();
    };
    io::StreamPtr left;
    socket_pair(left, raw_);
    raw_->set_sink(at_raw);
    accepting_ =
        accept(std::move(left), contexts.server(), {.deadline = loop_->now() + std::chrono::seconds(5)});
    accepting_.start([] { FAIL() << "destroyed before its end"; });
    after(std::chrono::milliseconds(5), [&] { accepting_ = {}; });
  });
  EXPECT_TRUE(at_raw.ended);
}

TEST_P(TlsStreamTest, AnswersGarbageWithAnAlertThatArrives) {
  Recorder at_raw;
  std::string error;
  run([&] {
    at_raw.changed = [&] {
      if (at_raw.ended) stop();
    };
    io::StreamPtr left;
    socket_pair(left, raw_);
    raw_->set_sink(at_raw);
    raw_->write(base::as_bytes(std::string_view("\x16\x03\x01\0\x04oops", 9)));
    accepting_ = accept(std::move(left), contexts.server(), {});
    accepting_.start([&] { error = accepting_.take_result().error().to_string(); });
  });
  EXPECT_NE(error.find("could not accept TLS connection"), std::string::npos) << error;
  ASSERT_EQ(at_raw.received.size(), 7u);
  EXPECT_EQ(at_raw.received[0], 21);  // a record of type alert
}

TEST_P(TlsStreamTest, ReportsAPeerThatLeavesDuringTheHandshake) {
  std::string error;
  run([&] {
    io::StreamPtr left;
    socket_pair(left, raw_);
    raw_->write(base::as_bytes("\x16\x03\x01"));
    accepting_ = accept(std::move(left), contexts.server(), {});
    accepting_.start([&] {
      error = accepting_.take_result().error().to_string();
      stop();
    });
    after(std::chrono::milliseconds(5), [&] { raw_.reset(); });
  });
  EXPECT_NE(error.find("connection closed during TLS handshake"), std::string::npos) << error;
}

TEST_P(TlsStreamTest, TellsBothEndsWhyACertificateDoesNotHold) {
  const testing::Certificates others;
  run([&] { open([&] { stop(); }, {.mode = model::TlsMode::kVerifyFull, .ca_file = others.ca_file()}); });
  EXPECT_NE(client_error.find("certificate verify failed"), std::string::npos) << client_error;
  EXPECT_NE(server_error.find("unknown ca"), std::string::npos) << server_error;
}

TEST_P(TlsStreamTest, WantsAlpnWhereNoRequestWentBefore) {
  const auto client_context = contexts.client();
  testing::EnginePair talk(*contexts.server(), *client_context);
  // A hello without ALPN, and an engine that goes on with it.
  auto engine = Engine::connecting(*client_context, "localhost");
  ASSERT_TRUE(engine);
  testing::forget_alpn(**engine);
  testing::End end;
  end.use(std::move(engine));
  struct Wire final : io::StreamSink {
    testing::End& end;
    io::StreamPtr& raw;
    Wire(testing::End& e, io::StreamPtr& r) : end(e), raw(r) {}
    void on_data(io::Chunk bytes) override {
      end.take(bytes.view());
      raw->write(base::as_bytes(std::exchange(end.outgoing, {})));
    }
    void on_end(const base::Error*) override {}
  } wire(end, raw_);
  std::string error;
  run([&] {
    io::StreamPtr left;
    socket_pair(left, raw_);
    raw_->set_sink(wire);
    end.take({});
    raw_->write(base::as_bytes(std::exchange(end.outgoing, {})));
    accepting_ = accept(std::move(left), contexts.server(), {.direct = true});
    accepting_.start([&] {
      error = accepting_.take_result().error().to_string();
      stop();
    });
  });
  EXPECT_NE(error.find("without ALPN"), std::string::npos) << error;
}

TEST_P(TlsStreamTest, MovesInTheMiddleOfATransfer) {
  constexpr std::size_t kTotal = 1'000'000;
  // Takes the stream apart inside on_data and goes on with another one around the same connection.
  struct Mover final : io::StreamSink {
    TlsStreamTest* test;
    std::size_t received = 0;
    int moves = 0;
    void on_data(io::Chunk bytes) override {
      received += bytes.size();
      if (received == kTotal) return test->stop();
      ++moves;
      test->server = TlsStream::assemble(TlsStream::take_apart(std::move(test->server)));
      test->server->set_sink(*this);
    }
    void on_end(const base::Error*) override {}
  } mover;
  mover.test = this;
  Recorder at_client;
  run([&] {
    open([&] {
      ASSERT_TRUE(server && client);
      server->set_sink(mover);
      client->set_sink(at_client);
      client->write(base::as_bytes(std::string(kTotal, 'x')));
    });
  });
  EXPECT_EQ(mover.received, kTotal);
  EXPECT_GT(mover.moves, 10);
}

INSTANTIATE_TEST_SUITE_P(Ways, TlsStreamTest, ::testing::ValuesIn(testing::kWays), testing::name_of);

}  // namespace
}  // namespace penstock::tls
