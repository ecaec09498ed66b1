#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/client.h"
#include "http/echo_test.h"
#include "tls/certificates_test.h"

namespace penstock::http {
namespace {

using testing::Echo;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;

base::Result<Answer> ask(const ClientOptions& options, const Request& request) {
  auto client = Client::make(options);
  if (!client) return base::fail(client.error());
  return client->ask(request);
}

std::string reason(const ClientOptions& options) {
  const auto answer = ask(options, {.method = "GET", .target = "/"});
  return answer ? "" : answer.error().message;
}

TEST(HttpClient, AsksAndKeepsItsConnection) {
  Echo server;
  auto client = Client::make({.url = fmt::format("http://127.0.0.1:{}/", server.port)});
  ASSERT_TRUE(client) << client.error().message;
  for (int i = 0; i < 3; ++i) {
    const auto answer = client->ask({.method = "POST", .target = "/path?x=1", .body = "body"});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->content_type, "text/plain");
    EXPECT_THAT(answer->body, StartsWith(fmt::format("POST /path?x=1 body host=127.0.0.1:{}", server.port)));
  }
  EXPECT_EQ(server.counts().accepted, 1u);
  const auto large = client->ask({.method = "GET", .target = "/large"});
  ASSERT_TRUE(large);
  EXPECT_EQ(large->body.size(), 3'000'000u);
}

TEST(HttpClient, PutsThePathOfItsUrlBeforeAllTargets) {
  Echo server;
  const auto answer = ask({.url = fmt::format("http://localhost:{}/behind/", server.port)},
                          {.method = "GET", .target = "/api"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->body, StartsWith("GET /behind/api"));
}

TEST(HttpClient, AsksAgainOnANewConnectionWhenTheServerHasClosedTheOld) {
  Echo server({.idle_timeout = 50ms});
  auto client = Client::make({.url = fmt::format("http://127.0.0.1:{}", server.port)});
  ASSERT_TRUE(client->ask({.method = "GET", .target = "/"}));
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(client->ask({.method = "GET", .target = "/"}));
  EXPECT_EQ(server.counts().accepted, 2u);
}

TEST(HttpClient, ChangesThingsOnlyOnAConnectionThatWasUsedJustNow) {
  Echo server({.idle_timeout = 1200ms});
  auto client = Client::make({.url = fmt::format("http://127.0.0.1:{}", server.port)});
  ASSERT_TRUE(client->ask({.method = "POST", .target = "/", .body = "x"}));
  ASSERT_TRUE(client->ask({.method = "POST", .target = "/", .body = "x"}));
  EXPECT_EQ(server.counts().accepted, 1u);
  std::this_thread::sleep_for(1500ms);
  const auto later = client->ask({.method = "POST", .target = "/", .body = "x"});
  EXPECT_TRUE(later) << later.error().message;
  EXPECT_EQ(server.counts().accepted, 2u);
}

TEST(HttpClient, SaysWhetherWhatChangesThingsMayHaveBeenDone) {
  const auto state = [](std::uint16_t port, const char* method, const char* target) {
    const auto answer = ask({.url = fmt::format("http://127.0.0.1:{}", port), .timeout = 200ms},
                            {.method = method, .target = target});
    return answer ? std::string() : answer.error().sqlstate.str();
  };
  std::uint16_t gone = 0;
  {
    Echo server;
    gone = server.port;
    EXPECT_EQ(state(server.port, "POST", "/never"), "08007");
    EXPECT_EQ(state(server.port, "GET", "/never"), "08006") << "it changes nothing";
  }
  EXPECT_EQ(state(gone, "POST", "/"), "08006") << "it was not sent";
}

TEST(HttpClient, AsksNotAgainWhenTheTimeIsOver) {
  Echo server;
  auto client = Client::make({.url = fmt::format("http://127.0.0.1:{}", server.port), .timeout = 300ms});
  ASSERT_TRUE(client->ask({.method = "GET", .target = "/"}));
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = client->ask({.method = "GET", .target = "/never"});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("timeout"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 550ms);
  EXPECT_EQ(server.counts().accepted, 1u);
}

TEST(HttpClient, TrustsOnlyWhomItsCertificatesName) {
  tls::testing::Certificates certificates;
  tls::testing::Certificates others;
  const auto server = certificates.issue("localhost", "DNS:localhost");
  base::SystemRandom random;
  auto context = tls::ServerContext::build({.mode = model::TlsMode::kRequire,
                                            .cert_file = server.cert_file,
                                            .key_file = server.key_file,
                                            .inside = tls::Inside::kHttp},
                                           tls::TicketKeys(random));
  ASSERT_TRUE(context.has_value());
  Echo echo({}, *context);
  const std::string url = fmt::format("https://localhost:{}", echo.port);
  const auto answer = ask({.url = url, .ca_file = certificates.ca_file()}, {.method = "GET", .target = "/"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->body, HasSubstr("tls=true"));
  EXPECT_THAT(reason({.url = url, .ca_file = others.ca_file()}), HasSubstr("is not who it should be"));
  EXPECT_THAT(reason({.url = url}), HasSubstr("is not who it should be"));
  EXPECT_THAT(
      reason({.url = fmt::format("https://127.0.0.1:{}", echo.port), .ca_file = certificates.ca_file()}),
      HasSubstr("is not who it should be"));
  EXPECT_THAT(reason({.url = url, .ca_file = "/no/such.pem"}), HasSubstr("could not read the certificates"));
}

TEST(HttpClient, TellsWhatIsWrongWithTheServer) {
  std::uint16_t gone = 0;
  {
    Echo server;
    gone = server.port;
    EXPECT_THAT(reason({.url = fmt::format("http://127.0.0.1:{}", server.port), .body_bytes_max = 5}),
                HasSubstr("does not answer"));
    auto slow = ask({.url = fmt::format("http://127.0.0.1:{}", server.port), .timeout = 100ms},
                    {.method = "GET", .target = "/never"});
    ASSERT_FALSE(slow);
    EXPECT_THAT(slow.error().message, HasSubstr("does not answer: timeout"));
    EXPECT_THAT(reason({.url = fmt::format("https://127.0.0.1:{}", server.port)}), HasSubstr("is not who"));
  }
  EXPECT_THAT(reason({.url = fmt::format("http://127.0.0.1:{}", gone)}), HasSubstr("could not be reached"));
  EXPECT_THAT(reason({.url = "http://no-such-host.invalid"}), HasSubstr("could not be found"));
  for (const char* url : {"", "127.0.0.1:80", "ftp://x", "http://", "http://x:y", "http://x:123456",
                          "http://a@b", "http://x/?q"}) {
    EXPECT_THAT(reason({.url = url}), HasSubstr("is not the URL of an HTTP port")) << url;
  }
}

}  // namespace
}  // namespace penstock::http
