#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "http/echo_test.h"
#include "http/raw_client_test.h"
#include "tls/certificates_test.h"

namespace penstock::http {
namespace {

using testing::Echo;
using ::testing::HasSubstr;
using testing::RawClient;
using ::testing::StartsWith;
using namespace std::chrono_literals;

TEST(HttpServer, AnswersRequestsOneAfterTheOtherOnOneConnection) {
  Echo echo;
  RawClient client(echo.port);
  EXPECT_THAT(client.ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("GET /a  host=x tls=false"));
  EXPECT_THAT(client.ask("POST /b HTTP/1.1\r\nHost: y\r\nContent-Length: 3\r\n\r\nabc"),
              HasSubstr("POST /b abc host=y"));
  client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.answer(), HasSubstr("GET /1"));
  EXPECT_THAT(client.answer(), HasSubstr("GET /2"));
}

TEST(HttpServer, ReadsChunkedBodiesAndGrantsContinue) {
  Echo echo;
  RawClient client(echo.port);
  EXPECT_THAT(client.ask("PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
              HasSubstr("PUT /c abcde"));
  EXPECT_THAT(
      client.ask("PUT /d HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", false),
      StartsWith("HTTP/1.1 100 Continue"));
  EXPECT_THAT(client.ask("hi"), HasSubstr("PUT /d hi"));
}

TEST(HttpServer, SendsNoBodyToHeadAndClosesWhenAsked) {
  Echo echo;
  RawClient client(echo.port);
  const std::string answer =
      client.ask("HEAD /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false);
  EXPECT_THAT(answer, HasSubstr("Content-Length: 3000000"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  EXPECT_TRUE(client.is_closed());
}

TEST(HttpServer, SendsLargeAnswersWhole) {
  Echo echo;
  RawClient client(echo.port);
  EXPECT_GT(client.ask("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").size(), 3'000'000U);
}

// What a client gets until the connection is closed, with all chunks as one.
std::pair<std::string, std::string> head_and_chunks(RawClient& client) {
  std::string all;
  for (std::string more = client.some(); !more.empty(); more = client.some()) all += more;
  const std::size_t end = all.find("\r\n\r\n");
  std::string body;
  for (std::size_t at = end + 4; at < all.size();) {
    const std::size_t size = std::stoul(all.substr(at, 8), nullptr, 16);
    at = all.find("\r\n", at) + 2;
    if (size == 0) return {all.substr(0, end), body};
    body += all.substr(at, size);
    at += size + 2;
  }
  return {all.substr(0, end), "cut off"};
}

std::string numbers() {
  std::string text;
  for (int i = 0; i < 100'000; ++i) fmt::format_to(std::back_inserter(text), "{}\n", i);
  return text;
}

TEST(HttpServer, SendsAnswersInPartsAndTheNextOneBehindThem) {
  Echo echo;
  RawClient client(echo.port);
  client.send(
      "GET /parts/ HTTP/1.1\r\nHost: x\r\n\r\nGET /parts/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::string all;
  for (std::string more = client.some(); !more.empty(); more = client.some()) all += more;
  constexpr std::string_view kEnd = "\r\n0\r\n\r\n";
  const std::size_t second = all.find(kEnd) + kEnd.size();
  EXPECT_THAT(all, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(all.substr(second), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(all.ends_with(kEnd));
  RawClient alone(echo.port);
  alone.send("GET /parts/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(head_and_chunks(alone).second, numbers());
}

TEST(HttpServer, PartsAreNotForHeadAndEndWithTheConnectionForOldClients) {
  Echo echo;
  RawClient client(echo.port);
  EXPECT_TRUE(client.ask("HEAD /parts/ HTTP/1.1\r\nHost: x\r\n\r\n", false).ends_with("\r\n\r\n"));
  EXPECT_THAT(client.ask("GET /b HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("GET /b"));
  RawClient old(echo.port);
  old.send("GET /parts/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  std::string all;
  for (std::string more = old.some(); !more.empty(); more = old.some()) all += more;
  EXPECT_EQ(all.find("chunked"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\n" + numbers()));
}

TEST(HttpServer, AnAnswerThatFailsInTheMiddleIsSeenToBeCutOff) {
  Echo echo;
  RawClient client(echo.port);
  client.send("GET /parts/broken HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(head_and_chunks(client).second, "cut off");
  EXPECT_THAT(RawClient(echo.port).ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, OthersGetTheirTurnWhilePartsAreSent) {
  Echo echo;
  RawClient endless(echo.port), other(echo.port);
  endless.send("GET /parts/endless HTTP/1.1\r\nHost: x\r\n\r\n");
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done && !endless.some().empty()) {
    }
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(other.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  }
  done = true;
  reader.join();
}

TEST(HttpServer, TakesAnswersFromOtherThreads) {
  Echo echo;
  RawClient client(echo.port);
  EXPECT_THAT(client.ask("GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("from another thread"));
}

TEST(HttpServer, SaysThatAnAnswerWasForgottenOrTookTooLong) {
  Echo echo({.answer_timeout = 100ms});
  RawClient client(echo.port);
  EXPECT_THAT(client.ask("GET /dropped HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(client.ask("GET /never HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 503"));
}

TEST(HttpServer, RefusesWhatIsNoRequest) {
  Echo echo;
  for (const std::string bytes : {
           std::string("nonsense\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nbroken header\r\n\r\n"),
           std::string("GET / HTTP/9.9\r\n\r\n"),
           std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8) + std::string(100, '\0'),  // Postgres' SSLRequest
           std::string("PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
           std::string("PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
           std::string("PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           std::string("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
       }) {
    RawClient client(echo.port);
    EXPECT_THAT(client.ask(bytes), StartsWith("HTTP/1.1 400")) << bytes;
    EXPECT_TRUE(client.is_closed());
  }
  EXPECT_EQ(echo.counts().requests, 0U);
}

TEST(HttpServer, BoundsHeadersAndBodies) {
  Echo echo({.header_bytes_max = 1000, .body_bytes_max = 1000});
  EXPECT_THAT(RawClient(echo.port).ask("GET / HTTP/1.1\r\nX: " + std::string(5000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(RawClient(echo.port).ask("GET /" + std::string(100'000, 'x')), StartsWith("HTTP/1.1 431"));
  // Refused by its stated length, before a byte of it has come.
  EXPECT_THAT(RawClient(echo.port).ask("PUT / HTTP/1.1\r\nContent-Length: 2000000000\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(RawClient(echo.port).ask("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" +
                                       std::string(0x800, 'x') + "\r\n"),
              StartsWith("HTTP/1.1 413"));
}

TEST(HttpServer, CutsSlowSendersOff) {
  Echo echo({.header_timeout = 200ms, .body_timeout = 200ms, .idle_timeout = 400ms});
  RawClient slow_header(echo.port), slow_body(echo.port), silent(echo.port);
  slow_body.send("PUT / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
  const auto start = std::chrono::steady_clock::now();
  // A byte now and then does not help.
  std::thread drip([&] {
    for (int i = 0; i < 8; ++i) {
      slow_header.send("G");
      slow_body.send("x");
      std::this_thread::sleep_for(50ms);
    }
  });
  EXPECT_TRUE(slow_header.is_closed());
  EXPECT_TRUE(slow_body.is_closed());
  EXPECT_TRUE(silent.is_closed());
  drip.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(HttpServer, EndsTheLongestIdleConnectionWhenAllPlacesAreTaken) {
  Echo echo({.connections_max = 3});
  RawClient first(echo.port);
  first.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  RawClient second(echo.port), third(echo.port);
  second.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  third.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  RawClient fourth(echo.port);
  EXPECT_THAT(fourth.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(first.is_closed());
  EXPECT_THAT(second.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, SlowSendersAndReadersCannotTakeAllPlaces) {
  Echo echo({.connections_max = 3});
  RawClient half(echo.port), body(echo.port), reader(echo.port);
  half.send("GET / HT");
  body.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx");
  reader.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");  // and does not read it
  while (echo.counts().requests == 0) std::this_thread::sleep_for(5ms);
  for (int i = 0; i < 3; ++i) {
    RawClient other(echo.port);
    EXPECT_THAT(other.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
    RawClient silent(echo.port);  // takes a place and says nothing
    EXPECT_THAT(RawClient(echo.port).ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_TRUE(half.is_closed());
  EXPECT_TRUE(body.is_closed());
}

TEST(HttpServer, AHandlerThatThrowsCostsNoPlace) {
  Echo echo({.connections_max = 2});
  for (int i = 0; i < 5; ++i) {
    RawClient client(echo.port);
    EXPECT_THAT(client.ask("GET /thrown HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 500"));
    EXPECT_THAT(client.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  }
}

TEST(HttpServer, RefusesWhenAllPlacesAreAtWork) {
  Echo echo({.connections_max = 1});
  RawClient first(echo.port);
  first.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  while (echo.counts().requests == 0) std::this_thread::sleep_for(5ms);
  RawClient second(echo.port);
  EXPECT_TRUE(second.is_closed());
}

struct ClientTls {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  ~ClientTls() { SSL_CTX_free(context); }
};

TEST(HttpServer, SpeaksTlsAndKnowsClientsByTheirCertificate) {
  tls::testing::Certificates certificates;
  const auto server = certificates.issue("localhost", "DNS:localhost");
  const auto alice = certificates.issue("alice", "");
  base::SystemRandom random;
  auto context = tls::ServerContext::build({.mode = model::TlsMode::kRequire,
                                            .cert_file = server.cert_file,
                                            .key_file = server.key_file,
                                            .ca_file = certificates.ca_file(),
                                            .inside = tls::Inside::kHttp},
                                           tls::TicketKeys(random));
  ASSERT_TRUE(context.has_value());
  Echo echo({}, *context);
  ClientTls tls;
  {
    RawClient nameless(echo.port, tls.context);
    EXPECT_THAT(nameless.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("tls=true name="));
  }
  SSL_CTX_use_certificate_file(tls.context, alice.cert_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(tls.context, alice.key_file.c_str(), SSL_FILETYPE_PEM);
  const unsigned char alpn[] = "\x02h2\x08http/1.1";
  SSL_CTX_set_alpn_protos(tls.context, alpn, sizeof(alpn) - 1);
  RawClient named(echo.port, tls.context);
  EXPECT_THAT(named.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("tls=true name=alice"));
  // Clear text where TLS is expected.
  RawClient plain(echo.port);
  EXPECT_THAT(plain.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ::testing::Not(HasSubstr("200 OK")));
}

TEST(HttpServer, SaysWhyItCannotListen) {
  Loop loop;
  Server one(loop, [](const Request&, Respond) {}), two(loop, [](const Request&, Respond) {});
  const auto port = one.listen("127.0.0.1", 0);
  ASSERT_TRUE(port.has_value());
  EXPECT_THAT(two.listen("127.0.0.1", *port).error().message, HasSubstr("Address already in use"));
  EXPECT_THAT(two.listen("localhost", *port).error().message, HasSubstr("is not an IP address"));
}

TEST(HttpServer, AllAddressesMeansThoseOfIpV6TooWhereThereAreAny) {
  Loop loop;
  Server one(loop, [](const Request&, Respond) {}), two(loop, [](const Request&, Respond) {});
  const auto port = one.listen("::1", 0);
  if (!port) GTEST_SKIP() << port.error().message;
  const auto all = two.listen("*", *port);
  ASSERT_FALSE(all.has_value());
  EXPECT_THAT(all.error().message, HasSubstr("Address already in use"));
}

}  // namespace
}  // namespace penstock::http
