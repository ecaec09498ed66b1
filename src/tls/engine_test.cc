#include "tls/engine.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atomic>
#include <thread>

#include "tls/engine_pair_test.h"

namespace penstock::tls {
namespace {

using model::TlsMode;
using testing::Contexts;
using testing::EnginePair;
using testing::keep_sessions;

class EngineTest : public ::testing::Test {
 protected:
  Contexts setup;
};

std::string noise(std::size_t size) {
  std::string bytes(size, '\0');
  base::SeededRandom random(3);
  random.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), size});
  return bytes;
}

TEST_F(EngineTest, CarriesBytesBothWays) {
  EnginePair pair(*setup.server(), *setup.client());
  pair.run();
  ASSERT_TRUE(pair.server.open && pair.client.open) << pair.server.failure << pair.client.failure;
  ASSERT_TRUE(pair.client.engine->write(base::as_bytes("question")));
  ASSERT_TRUE(pair.server.engine->write(base::as_bytes("answer")));
  pair.run();
  EXPECT_EQ(pair.server.received, "question");
  EXPECT_EQ(pair.client.received, "answer");
}

TEST_F(EngineTest, WorksWhereverTheBytesAreSplit) {
  const auto server = setup.server();
  const auto client = setup.client();
  const std::string text = noise(40'000);
  for (const std::size_t piece : {1, 2, 3, 4, 5, 6, 7, 11, 64, 1000, 4097, 16406}) {
    EnginePair pair(*server, *client);
    pair.run(piece);
    ASSERT_TRUE(pair.server.open && pair.client.open) << piece;
    for (std::size_t at = 0; at < text.size(); at += Engine::kRecordMax) {
      ASSERT_TRUE(
          pair.client.engine->write(base::as_bytes(std::string_view(text).substr(at, Engine::kRecordMax))));
    }
    pair.run(piece);
    EXPECT_EQ(pair.server.received, text) << piece;
  }
}

TEST_F(EngineTest, LeavesWhatFollowsTheHandshakeToTheReader) {
  EnginePair pair(*setup.server(), *setup.client());
  pair.client.take({});
  EnginePair::carry(pair.client, pair.server, SIZE_MAX);
  EnginePair::carry(pair.server, pair.client, SIZE_MAX);
  ASSERT_TRUE(pair.client.open);
  ASSERT_TRUE(pair.client.engine->write(base::as_bytes("at once")));
  base::ByteView input = base::as_bytes(pair.client.outgoing);
  const auto progress = pair.server.engine->handshake(input);
  ASSERT_TRUE(progress && *progress == Engine::Progress::kDone);
  EXPECT_FALSE(input.empty());
  std::uint8_t out[100];
  const auto read = pair.server.engine->read(input, out);
  ASSERT_TRUE(read);
  EXPECT_EQ(base::as_text({out, read->size}), "at once");
  EXPECT_TRUE(input.empty());
}

TEST_F(EngineTest, TellsProtocolCipherNameAndAlpn) {
  EnginePair pair(*setup.server(), *setup.client(), "localhost");
  pair.run();
  EXPECT_EQ(pair.server.engine->negotiated(), "TLSv1.3/TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(pair.server.engine->server_name(), "localhost");
  EXPECT_TRUE(pair.server.engine->alpn_is_postgresql());
  EXPECT_TRUE(pair.client.engine->alpn_is_postgresql());
  EXPECT_FALSE(pair.server.engine->peer_certificate());
}

TEST_F(EngineTest, NamesNoServerByItsAddress) {
  EnginePair pair(*setup.server(), *setup.client(), "127.0.0.1");
  pair.run();
  EXPECT_TRUE(pair.server.open);
  EXPECT_EQ(pair.server.engine->server_name(), "");
}

TEST_F(EngineTest, SpeaksTls12WithCiphersOfItsChoice) {
  ServerOptions options = setup.server_options();
  options.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256";
  EnginePair newer(*setup.server(options), *setup.client());
  newer.run();
  EXPECT_EQ(newer.server.engine->negotiated(), "TLSv1.3/TLS_AES_128_GCM_SHA256");
  const auto client = setup.client();
  SSL_CTX_set_max_proto_version(client->native(), TLS1_2_VERSION);
  EnginePair older(*setup.server(options), *client);
  older.run();
  EXPECT_EQ(older.server.engine->negotiated(), "TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256");
}

TEST_F(EngineTest, RefusesOlderProtocolsThanConfigured) {
  ServerOptions options = setup.server_options();
  options.min_protocol = "1.3";
  const auto client = setup.client();
  SSL_CTX_set_max_proto_version(client->native(), TLS1_2_VERSION);
  EnginePair pair(*setup.server(options), *client);
  pair.run();
  EXPECT_NE(pair.server.failure.find("unsupported protocol"), std::string::npos) << pair.server.failure;
  EXPECT_NE(pair.client.failure.find("alert protocol version"), std::string::npos) << pair.client.failure;
}

TEST_F(EngineTest, RefusesRenegotiation) {
  const auto client = setup.client();
  SSL_CTX_set_max_proto_version(client->native(), TLS1_2_VERSION);
  SSL_CTX_clear_options(client->native(), SSL_OP_NO_RENEGOTIATION);
  EnginePair pair(*setup.server(), *client);
  pair.run();
  ASSERT_TRUE(pair.server.open);
  // The client's side of OpenSSL, reached for from outside: begin another handshake.
  base::ByteView none;
  SSL* ssl = pair.client.engine->native_for_test();
  ASSERT_EQ(SSL_renegotiate(ssl), 1);
  (void)pair.client.engine->handshake(none);
  pair.run();
  ASSERT_FALSE(pair.client.failure.empty() && pair.client.outgoing.empty() && !pair.server.open);
  EXPECT_NE(pair.client.failure.find("no renegotiation"), std::string::npos) << pair.client.failure;
}

TEST_F(EngineTest, EndsInAnOrderlyWay) {
  EnginePair pair(*setup.server(), *setup.client());
  pair.run();
  EXPECT_TRUE(testing::ends_in_an_orderly_way(pair));
}

TEST_F(EngineTest, NoticesTamperedRecords) {
  EnginePair pair(*setup.server(), *setup.client());
  pair.run();
  ASSERT_TRUE(pair.client.engine->write(base::as_bytes("question")));
  pair.client.outgoing.back() ^= 1;
  pair.run();
  EXPECT_EQ(pair.server.received, "");
  EXPECT_NE(pair.server.failure.find("bad record mac"), std::string::npos) << pair.server.failure;
}

TEST_F(EngineTest, SaysWhyAHandshakeIsNone) {
  EnginePair pair(*setup.server(), *setup.client());
  pair.server.take(base::as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_NE(pair.server.failure.find("could not accept TLS connection: http request"), std::string::npos)
      << pair.server.failure;
}

TEST_F(EngineTest, BindsBothEndsToTheSameCertificate) {
  EnginePair pair(*setup.server(), *setup.client());
  pair.run();
  const std::string binding = pair.server.engine->channel_binding();
  EXPECT_EQ(binding.size(), 32u);
  EXPECT_EQ(binding, pair.client.engine->channel_binding());
}

TEST_F(EngineTest, ResumesAcrossReloadsWhenTheRulesAreTheSame) {
  const auto client = setup.client();
  SSL_SESSION* session = nullptr;
  keep_sessions(*client, session);
  EnginePair first(*setup.server(), *client);
  first.run();
  ASSERT_NE(session, nullptr);
  EXPECT_FALSE(first.server.engine->resumed());

  EnginePair again(*setup.server(), *client);  // a context of its own, as after a reload
  SSL_set_session(again.client.engine->native_for_test(), session);
  again.run();
  EXPECT_TRUE(again.server.open && again.server.engine->resumed());
  EXPECT_EQ(again.server.engine->server_name(), "localhost");
  EXPECT_EQ(again.server.engine->channel_binding(), first.server.engine->channel_binding());
  EXPECT_EQ(again.client.engine->channel_binding(), first.server.engine->channel_binding());

  ServerOptions stricter = setup.server_options();
  stricter.ca_file = setup.certificates.ca_file();
  EnginePair changed(*setup.server(stricter), *client);
  SSL_set_session(changed.client.engine->native_for_test(), session);
  changed.run();
  EXPECT_TRUE(changed.server.open && !changed.server.engine->resumed());
  SSL_SESSION_free(session);
}

// A client that resumes takes the channel binding of the certificate that it has been shown back then.
TEST_F(EngineTest, DoesNotResumeWhatBeganWithAnotherCertificate) {
  const auto client = setup.client();
  SSL_SESSION* session = nullptr;
  keep_sessions(*client, session);
  EnginePair first(*setup.server(), *client);
  first.run();
  ASSERT_NE(session, nullptr);

  const auto renewed = setup.certificates.issue("server", "DNS:localhost");
  EnginePair again(*setup.server({.cert_file = renewed.cert_file, .key_file = renewed.key_file}), *client);
  SSL_set_session(again.client.engine->native_for_test(), session);
  again.run();
  EXPECT_TRUE(again.server.open && !again.server.engine->resumed());
  EXPECT_EQ(again.client.engine->channel_binding(), again.server.engine->channel_binding());
  SSL_SESSION_free(session);
}

TEST_F(EngineTest, VerifiesServersAsLibpqDoes) {
  const auto server = setup.server();
  struct Case {
    TlsMode mode;
    const char* host;
    bool good;
  };
  for (const Case& c :
       {Case{TlsMode::kVerifyCa, "elsewhere", true}, Case{TlsMode::kVerifyFull, "localhost", true},
        Case{TlsMode::kVerifyFull, "LOCALHOST", true}, Case{TlsMode::kVerifyFull, "127.0.0.1", true},
        Case{TlsMode::kVerifyFull, "127.0.0.2", false}, Case{TlsMode::kVerifyFull, "elsewhere", false},
        Case{TlsMode::kVerifyFull, "server", false}, Case{TlsMode::kVerifyFull, "", false}}) {
    EnginePair pair(*server, *setup.client(setup.verifying(c.mode)), c.host);
    pair.run();
    EXPECT_EQ(pair.client.open, c.good) << c.host << ": " << pair.client.failure;
  }
  EnginePair wrong_name(*server, *setup.client(setup.verifying(TlsMode::kVerifyFull)), "elsewhere");
  wrong_name.run();
  EXPECT_NE(wrong_name.client.failure.find("does not match host name \"elsewhere\""), std::string::npos)
      << wrong_name.client.failure;
}

TEST_F(EngineTest, RefusesServersOfUnknownAuthorities) {
  const testing::Certificates others;
  for (const TlsMode mode : {TlsMode::kRequire, TlsMode::kVerifyCa}) {  // require with a ca_file, as in libpq
    EnginePair pair(*setup.server(), *setup.client({.mode = mode, .ca_file = others.ca_file()}));
    pair.run();
    EXPECT_NE(pair.client.failure.find("certificate verify failed (unable to get local issuer"),
              std::string::npos)
        << pair.client.failure;
    EXPECT_NE(pair.server.failure.find("unknown ca"), std::string::npos) << pair.server.failure;
  }
  EnginePair system(*setup.server(), *setup.client({.mode = TlsMode::kVerifyFull}));
  system.run();
  EXPECT_FALSE(system.client.failure.empty());
  EnginePair trusting(*setup.server(), *setup.client({.mode = TlsMode::kRequire}));
  trusting.run();
  EXPECT_TRUE(trusting.client.open);
}

TEST_F(EngineTest, ReadsTheClientsCertificate) {
  ServerOptions options = setup.server_options();
  options.ca_file = setup.certificates.ca_file();
  options.mode = TlsMode::kVerifyCa;
  const auto bob = setup.certificates.issue("bob", "DNS:bob.example,IP:10.0.0.1,DNS:b.example");
  EnginePair pair(*setup.server(options),
                  *setup.client({.cert_file = bob.cert_file, .key_file = bob.key_file}));
  pair.run();
  ASSERT_TRUE(pair.server.open) << pair.server.failure;
  const auto certificate = pair.server.engine->peer_certificate();
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->common_name, "bob");
  EXPECT_EQ(certificate->distinguished_name, "CN=bob,O=Test");
  EXPECT_EQ(certificate->dns_names, (std::vector<std::string>{"bob.example", "b.example"}));
}

TEST_F(EngineTest, WantsAClientCertificateOnlyWhereTheModeSaysSo) {
  ServerOptions options = setup.server_options();
  options.ca_file = setup.certificates.ca_file();
  EnginePair optional(*setup.server(options), *setup.client());
  optional.run();
  EXPECT_TRUE(optional.server.open);
  EXPECT_FALSE(optional.server.engine->peer_certificate());

  options.mode = TlsMode::kVerifyFull;
  EnginePair required(*setup.server(options), *setup.client());
  required.run();
  EXPECT_NE(required.server.failure.find("peer did not return a certificate"), std::string::npos)
      << required.server.failure;

  testing::Certificates others;
  const auto mallory = others.issue("bob", "");
  EnginePair forged(*setup.server(options),
                    *setup.client({.cert_file = mallory.cert_file, .key_file = mallory.key_file}));
  forged.run();
  EXPECT_NE(forged.server.failure.find("certificate verify failed"), std::string::npos)
      << forged.server.failure;
}

TEST_F(EngineTest, RefusesOtherProtocolsByAlpn) {
  EnginePair pair(*setup.server(), *setup.client());
  const unsigned char http[] = "\x08http/1.1";
  SSL_set_alpn_protos(pair.client.engine->native_for_test(), http, sizeof(http) - 1);
  pair.run();
  EXPECT_NE(pair.client.failure.find("no application protocol"), std::string::npos) << pair.client.failure;
}

TEST_F(EngineTest, NamesTheFileAndTheReasonWhenAContextCannotBeBuilt) {
  const auto message = [&](auto change) {
    ServerOptions options = setup.server_options();
    change(options);
    const auto context = ServerContext::build(options, setup.ticket_keys);
    return context ? std::string("built") : context.error().message;
  };
  EXPECT_EQ(message([](ServerOptions& o) { o.cert_file = "/nowhere.crt"; }),
            "could not load certificate file \"/nowhere.crt\": No such file or directory");
  EXPECT_EQ(message([](ServerOptions& o) { o.key_file = "/nowhere.key"; }),
            "could not load private key file \"/nowhere.key\": No such file or directory");
  EXPECT_EQ(message([](ServerOptions& o) { o.ca_file = "/nowhere.ca"; }),
            "could not load root certificate file \"/nowhere.ca\": No such file or directory");
  EXPECT_EQ(message([](ServerOptions& o) { o.cert_file = o.key_file; }),
            "could not load certificate file \"" + setup.server_pair.key_file + "\": no start line");
  const auto other = setup.certificates.issue("other", "");
  EXPECT_NE(message([&](ServerOptions& o) { o.key_file = other.key_file; }).find("key values mismatch"),
            std::string::npos);
  EXPECT_NE(message([](ServerOptions& o) { o.min_protocol = "1.1"; }).find("\"1.1\""), std::string::npos);
  EXPECT_NE(message([](ServerOptions& o) { o.ciphers = "ROT13"; }).find("no cipher match"),
            std::string::npos);
  EXPECT_NE(
      message([](ServerOptions& o) { o.mode = TlsMode::kVerifyCa; }).find("without a file of authorities"),
      std::string::npos);
  EXPECT_FALSE(ClientContext::build({.mode = TlsMode::kVerifyCa, .ca_file = "/nowhere.ca"}));
  EXPECT_FALSE(ClientContext::build({.cert_file = "/nowhere.crt", .key_file = "/nowhere.key"}));
}

TEST_F(EngineTest, SharesItsContextAmongThreads) {
  const auto server = setup.server();
  const auto client = setup.client(setup.verifying(TlsMode::kVerifyFull));
  std::atomic<int> opened = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        EnginePair pair(*server, *client);
        pair.run();
        if (pair.server.open && !pair.server.engine->channel_binding().empty()) ++opened;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened, 40);
}

TEST_F(EngineTest, SurvivesGarbageAtAnyPointOfTheHandshake) {
  const auto server = setup.server();
  const auto client = setup.client();
  for (std::size_t good = 0; good < 400; good += 7) {
    EnginePair pair(*server, *client);
    pair.client.take({});
    const std::string hello = std::move(pair.client.outgoing);
    pair.server.take(base::as_bytes(std::string_view(hello).substr(0, good)));
    pair.server.take(base::as_bytes(noise(2000)));
    EXPECT_FALSE(pair.server.open) << good;
  }
}

}  // namespace
}  // namespace penstock::tls
