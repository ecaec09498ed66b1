#include "tls/record_layer.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstdlib>

#include "tls/engine_pair_test.h"
#include "tls/record_twins_test.h"

namespace penstock::tls {
namespace {

using Kind = PlainRead::Kind;
using testing::Contexts;
using testing::EnginePair;
using testing::RecordTwins;

// Open, and the server has forgotten its handshake.
struct OpenPair : EnginePair {
  OpenPair(const ServerContext& server_context, const ClientContext& client_context)
      : EnginePair(server_context, client_context) {
    run();
    PENSTOCK_ASSERT(server.open && client.open);
    server.engine->forget_handshake();
    PENSTOCK_ASSERT(server.engine->native_for_test() == nullptr);
  }
};

constexpr const char* kSuites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                   "TLS_CHACHA20_POLY1305_SHA256"};

// OpenSSL as the client, a RecordLayer behind the server's handshake.
class RecordLayerTest : public ::testing::TestWithParam<const char*> {
 protected:
  static ServerOptions options(const Contexts& contexts, const char* suite) {
    ServerOptions options = contexts.server_options();
    options.ciphers = suite;
    options.compact = true;
    return options;
  }

  Contexts setup;
  std::shared_ptr<const ServerContext> server = setup.server(options(setup, GetParam()));
  std::shared_ptr<const ClientContext> client = setup.client();
};

INSTANTIATE_TEST_SUITE_P(Suites, RecordLayerTest, ::testing::ValuesIn(kSuites));

std::string noise(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  base::SeededRandom random(seed);
  random.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), size});
  return bytes;
}

TEST_P(RecordLayerTest, CarriesBytesBothWaysWhereverTheyAreSplit) {
  const std::string text = noise(40'000, 3);
  for (const std::size_t piece : {1, 2, 3, 4, 5, 6, 7, 11, 64, 1000, 4097, 16406, 1'000'000}) {
    OpenPair pair(*server, *client);
    for (std::size_t at = 0; at < text.size(); at += Engine::kRecordMax) {
      const auto part = base::as_bytes(std::string_view(text).substr(at, Engine::kRecordMax));
      ASSERT_TRUE(pair.client.engine->write(part));
      ASSERT_TRUE(pair.server.engine->write(part));
    }
    pair.run(piece);
    EXPECT_EQ(pair.server.received, text) << piece << pair.server.failure;
    EXPECT_EQ(pair.client.received, text) << piece << pair.client.failure;
  }
}

TEST_P(RecordLayerTest, FollowsTheClientToNewKeys) {
  OpenPair pair(*server, *client);
  std::string questions, answers;
  for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    ASSERT_EQ(SSL_key_update(pair.client.engine->native_for_test(), kind), 1);
    ASSERT_TRUE(pair.client.engine->write(base::as_bytes("question")));
    pair.run(3);
    ASSERT_TRUE(pair.server.engine->write(base::as_bytes("answer")));
    pair.run(3);
    questions += "question";
    answers += "answer";
    EXPECT_EQ(pair.server.received, questions) << pair.server.failure;
    EXPECT_EQ(pair.client.received, answers) << pair.client.failure;
  }
}

TEST_P(RecordLayerTest, EndsInAnOrderlyWay) {
  OpenPair pair(*server, *client);
  EXPECT_TRUE(testing::ends_in_an_orderly_way(pair));
}

TEST_P(RecordLayerTest, RefusesWhatTheClientHasNotSealed) {
  OpenPair sample(*server, *client);
  ASSERT_TRUE(sample.client.engine->write(base::as_bytes("question")));
  const std::size_t size = sample.client.outgoing.size();
  for (std::size_t at = 0; at < size; ++at) {
    OpenPair pair(*server, *client);
    ASSERT_TRUE(pair.client.engine->write(base::as_bytes("question")));
    ASSERT_TRUE(pair.client.engine->write(base::as_bytes(noise(300, 1))));  // if the first one becomes longer
    pair.client.outgoing[at] = static_cast<char>(pair.client.outgoing[at] ^ 1);
    pair.run();
    EXPECT_EQ(pair.server.received, "") << at;
    EXPECT_NE(pair.server.failure, "") << at;
    EXPECT_NE(pair.client.failure.find("alert"), std::string::npos) << at << pair.client.failure;
  }
}

TEST_P(RecordLayerTest, SaysWhatTheClientComplainsOf) {
  OpenPair pair(*server, *client);
  ASSERT_TRUE(pair.server.engine->write(base::as_bytes("answer")));
  pair.server.outgoing.back() ^= 1;
  pair.run();
  EXPECT_NE(pair.client.failure.find("bad record mac"), std::string::npos) << pair.client.failure;
  EXPECT_NE(pair.server.failure.find("TLS connection failed: alert bad record mac"), std::string::npos)
      << pair.server.failure;
}

TEST_P(RecordLayerTest, WaitsForRoomAndLosesNothing) {
  OpenPair pair(*server, *client);
  ASSERT_TRUE(pair.client.engine->write(base::as_bytes("question")));
  for (const std::size_t split : {std::size_t{0}, std::size_t{9}}) {
    base::ByteView first = base::as_bytes(pair.client.outgoing).first(split);
    std::uint8_t small[10];
    std::uint8_t large[Engine::kReadRoom];
    if (split > 0) {
      ASSERT_EQ(pair.server.engine->read(first, small)->kind, Kind::kNeedsMore);
    }
    base::ByteView rest = base::as_bytes(pair.client.outgoing).subspan(split);
    ASSERT_EQ(pair.server.engine->read(rest, small)->kind, Kind::kNeedsRoom);
    EXPECT_EQ(pair.server.engine->has_decrypted(), split > 0);
    const auto read = pair.server.engine->read(rest, large);
    ASSERT_TRUE(read && read->kind == Kind::kData);
    EXPECT_EQ(base::as_text({large, read->size}), "question");
    EXPECT_FALSE(pair.server.engine->has_decrypted());
    pair.client.outgoing.clear();
    ASSERT_TRUE(pair.client.engine->write(base::as_bytes("question")));
  }
}

TEST_P(RecordLayerTest, ResumesSessions) {
  SSL_SESSION* session = nullptr;
  testing::keep_sessions(*client, session);
  OpenPair first(*server, *client);
  ASSERT_NE(session, nullptr);
  EnginePair again(*server, *client);
  SSL_set_session(again.client.engine->native_for_test(), session);
  again.run();
  EXPECT_TRUE(again.server.open && again.server.engine->resumed());
  again.server.engine->forget_handshake();
  ASSERT_TRUE(again.client.engine->write(base::as_bytes("question")));
  ASSERT_TRUE(again.server.engine->write(base::as_bytes("answer")));
  again.run();
  EXPECT_EQ(again.server.received, "question");
  EXPECT_EQ(again.client.received, "answer");
  SSL_SESSION_free(session);
}

TEST_P(RecordLayerTest, LeavesOlderProtocolsAndSmallerRecordsToOpenssl) {
  SSL_CTX_set_max_proto_version(client->native(), TLS1_2_VERSION);
  EnginePair older(*server, *client);
  older.run();
  ASSERT_TRUE(older.server.open) << older.server.failure;
  SSL_CTX_set_max_proto_version(client->native(), TLS1_3_VERSION);
  SSL_CTX_set_tlsext_max_fragment_length(client->native(), TLSEXT_max_fragment_length_1024);
  EnginePair smaller(*server, *client);
  smaller.run();
  ASSERT_TRUE(smaller.server.open) << smaller.server.failure;
  for (EnginePair* pair : {&older, &smaller}) {
    pair->server.engine->forget_handshake();
    EXPECT_NE(pair->server.engine->native_for_test(), nullptr);
    ASSERT_TRUE(pair->server.engine->write(base::as_bytes(noise(5000, 1))));
    pair->run();
    EXPECT_EQ(pair->client.received, noise(5000, 1));
  }
}

// --- record by record beside OpenSSL, under the same keys ---

// PENSTOCK_TLS_RECORDS=5000000 for more.
std::size_t records_to_compare() {
  const char* text = std::getenv("PENSTOCK_TLS_RECORDS");
  return text == nullptr ? 20'000 : std::strtoull(text, nullptr, 10);
}

TEST_P(RecordLayerTest, WritesAndUnderstandsWhatOpensslDoes) {
  base::SeededRandom random(7);
  RecordTwins twins(setup, GetParam(), *client);
  const std::string text = noise(Engine::kRecordMax, 5);
  const auto plain = [&] {
    const std::uint64_t exponent = random.below(15);
    return std::string_view(text).substr(0, 1 + random.below(std::uint64_t{1} << exponent));
  };
  testing::End& asking = twins.pair.client;
  for (std::size_t count = 0; count < records_to_compare() && twins.alive(); count += 2) {
    if (random.below(500) == 0) {
      const int kind = random.below(2) == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
      ASSERT_EQ(SSL_key_update(asking.engine->native_for_test(), kind), 1);
    }
    const std::string_view question = plain();
    ASSERT_TRUE(asking.engine->write(base::as_bytes(question)));
    twins.carry(base::as_bytes(std::exchange(asking.outgoing, {})));
    ASSERT_EQ(twins.take_received(), question);
    const std::string_view answer = plain();
    twins.answer(answer);
    EnginePair::carry(twins.pair.server, asking, SIZE_MAX);
    ASSERT_EQ(std::exchange(asking.received, {}), answer) << asking.failure;
  }
  EXPECT_TRUE(twins.alive());
}

TEST_P(RecordLayerTest, ChangesItsKeyBeforeItIsWornOut) {
  RecordTwins twins(setup, GetParam(), *client);
  const auto records = twins.secrets().record_layer(100);
  for (int i = 0; i < 1000; ++i) records->write(base::as_bytes("answer"), twins.pair.server);
  EnginePair::carry(twins.pair.server, twins.pair.client, SIZE_MAX);
  EXPECT_EQ(twins.pair.client.failure, "");
  EXPECT_EQ(twins.pair.client.received.size(), 6000u);
}

}  // namespace
}  // namespace penstock::tls
