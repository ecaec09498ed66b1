#include "upstream/dial.h"

#include <gtest/gtest.h>

#include <string>

#include "support/run_task.h"
#include "support/scripted_postgres.h"
#include "support/sim_postgres.h"

namespace penstock::upstream {
namespace {

using sim::ScriptedPeer;
using sim::ScriptedPostgres;
using std::chrono::milliseconds;
using std::chrono::seconds;

class DialTest : public ::testing::Test {
 public:
  DialTest() {
    plan.hosts = {{.host = "10.0.0.5"}};
    plan.user = "alice";
    plan.database = "shop";
    plan.connect_timeout = seconds(3);
    plan.login_timeout = seconds(5);
  }
  // Connections that were given up say goodbye first.
  ~DialTest() override { world.run_until(world.now() + seconds(10)); }

  base::Result<LoggedIn> run() {
    const auto before = world.now();
    auto result = sim::run_task(*loop, dial(tools(), std::make_shared<const DialPlan>(plan)));
    took = world.now() - before;
    if (!result.has_value()) return base::fail(base::kInternalError, "no end");
    return std::move(*result);
  }
  DialTools tools() { return {.loop = *loop, .resolver = resolver, .scram_keys = scram_keys}; }
  static Credential password(std::string_view text) {
    Credential credential;
    credential.secret = auth::Secret::parse(text);
    return credential;
  }
  // Servers answer a start-up packet with this instead.
  static auto refusing(std::string_view severity, std::string_view sqlstate, std::string_view text) {
    return [answer = sim::error_message(severity, sqlstate, text)](ScriptedPeer& peer,
                                                                   const sim::Message& message) {
      if (message.type != 0) return false;
      peer.send(answer);
      peer.close();
      return true;
    };
  }

  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> loop = world.make_loop("worker");
  std::unique_ptr<io::SimLoop> far = world.make_loop("servers");
  io::Resolver resolver;
  auth::ScramKeyCache scram_keys{world.random()};
  DialPlan plan;
  base::Duration took{};
};

TEST_F(DialTest, LogsInAndBringsWhatTheServerSaid) {
  ScriptedPostgres server(*far);
  plan.parameters = {{"application_name", "pool"}};
  auto result = run();
  ASSERT_TRUE(result) << result.error().to_string();
  const ScriptedPeer& peer = server.peer(0);
  EXPECT_EQ(peer.startup.at("user"), "alice");
  EXPECT_EQ(peer.startup.at("database"), "shop");
  EXPECT_EQ(peer.startup.at("application_name"), "pool");
  EXPECT_EQ(result->process_id, peer.pid);
  EXPECT_EQ(result->cancel_key, ScriptedPostgres::key_of(peer.pid));
  EXPECT_EQ(result->parameters, server.parameters);
  EXPECT_EQ(result->address.to_string(), "10.0.0.5:5432");
  EXPECT_EQ(result->host, "10.0.0.5");
  EXPECT_EQ(result->tls, "");
  EXPECT_TRUE(peer.open());
}

TEST_F(DialTest, KeepsWhatCameBehindTheLogIn) {
  ScriptedPostgres server(*far);
  const std::string last_words = sim::error_message("FATAL", "57P01", "shutting down");
  server.script = [&](ScriptedPeer& peer, const sim::Message&) {
    peer.greet();
    peer.send(last_words);
    return true;
  };
  std::string received;
  auto result = run();
  ASSERT_TRUE(result);
  struct Ear final : io::StreamSink {
    std::string heard;
    void on_data(io::Chunk bytes) override { heard += base::as_text(bytes.view()); }
    void on_end(const base::Error*) override {}
  } ear;
  for (const io::Chunk& chunk : result->received) ear.heard += base::as_text(chunk.view());
  result->stream->set_sink(ear);
  world.run_until(world.now() + seconds(1));
  EXPECT_EQ(ear.heard, last_words);
}

TEST_F(DialTest, TriesTheNextHostWhenOneDoesNotListen) {
  ScriptedPostgres server(*far, "10.0.0.6");
  plan.hosts = {{.host = "10.0.0.5"}, {.host = "10.0.0.6"}, {.host = "10.0.0.7"}};
  const auto result = run();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->host, "10.0.0.6");
}

TEST_F(DialTest, TriesTheNextHostWhenOneIsNotReadyOrFull) {
  for (const char* sqlstate : {"57P03", "53300", "08006"}) {
    ScriptedPostgres first(*far, "10.0.0.5");
    ScriptedPostgres second(*far, "10.0.0.6");
    plan.hosts = {{.host = "10.0.0.5"}, {.host = "10.0.0.6"}};
    first.script = refusing("FATAL", sqlstate, "not now");
    const auto result = run();
    ASSERT_TRUE(result) << sqlstate;
    EXPECT_EQ(result->host, "10.0.0.6");
  }
}

TEST_F(DialTest, AsksNobodyElseWhenAServerHasDecided) {
  ScriptedPostgres first(*far, "10.0.0.5");
  ScriptedPostgres second(*far, "10.0.0.6");
  plan.hosts = {{.host = "10.0.0.5"}, {.host = "10.0.0.6"}};
  first.script = refusing("FATAL", "3D000", "database \"shop\" does not exist");
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kInvalidCatalogName);
  EXPECT_EQ(result.error().message, "database \"shop\" does not exist") << "the server's own words";
  EXPECT_TRUE(second.peers.empty());
}

TEST_F(DialTest, TellsOfTheLastHostWhenNoneWillHaveIt) {
  ScriptedPostgres second(*far, "10.0.0.6");
  second.script = refusing("FATAL", "57P03", "the database system is starting up");
  plan.hosts = {{.host = "10.0.0.5"}, {.host = "10.0.0.6"}};
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kCannotConnectNow);
  EXPECT_EQ(result.error().message, "the database system is starting up");
}

TEST_F(DialTest, NamesTheAddressThatRefuses) {
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kConnectionFailure);
  EXPECT_EQ(result.error().message, "could not connect to 10.0.0.5:5432: Connection refused");
}

TEST_F(DialTest, NamesTheServerThatHangsUp) {
  ScriptedPostgres server(*far);
  server.script = [](ScriptedPeer& peer, const sim::Message&) {
    peer.close();
    return true;
  };
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kConnectionFailure);
  EXPECT_EQ(result.error().message,
            "connection to server at \"10.0.0.5:5432\" failed: the connection was closed by the other side");
}

TEST_F(DialTest, WaitsNoLongerThanItMay) {
  world.set_faults({.blackhole_percent = 100});
  const auto nobody = run();
  ASSERT_FALSE(nobody);
  EXPECT_GE(took, plan.connect_timeout);
  EXPECT_LT(took, plan.connect_timeout + milliseconds(100));
  world.set_faults({});
  ScriptedPostgres server(*far);
  server.script = [](ScriptedPeer&, const sim::Message&) { return true; };
  const auto silent = run();
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().message, "connection to server at \"10.0.0.5:5432\" failed: timeout expired");
  EXPECT_GE(took, plan.login_timeout);
  EXPECT_LT(took, plan.login_timeout + milliseconds(100));
  world.run_until(world.now() + milliseconds(10));
  EXPECT_FALSE(server.peer(0).open());
}

TEST_F(DialTest, ASlowServerDoesNotKeepItFromTheNext) {
  ScriptedPostgres slow(*far, "10.0.0.5");
  slow.script = [](ScriptedPeer&, const sim::Message&) { return true; };
  ScriptedPostgres second(*far, "10.0.0.6");
  plan.hosts = {{.host = "10.0.0.5"}, {.host = "10.0.0.6"}};
  const auto result = run();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->host, "10.0.0.6");
}

TEST_F(DialTest, ProvesThePasswordAndLetsTheServerProveItselfByScram) {
  sim::Checkers checkers;
  sim::SimPostgres server(*far, checkers, {.password = "secret"});
  plan.credential = password("secret");
  const auto result = run();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(checkers.verdict.clean()) << checkers.verdict.to_string();
}

TEST_F(DialTest, AWrongPasswordIsTheServersToRefuse) {
  sim::Checkers checkers;
  sim::SimPostgres server(*far, checkers, {.password = "secret"});
  plan.credential = password("guess");
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kInvalidPassword);
  EXPECT_EQ(result.error().message, "password authentication failed");
}

TEST_F(DialTest, TriesTheOtherCredentialWhenTheServerRefusesTheFirst) {
  sim::Checkers checkers;
  sim::SimPostgres server(*far, checkers, {.password = "secret"});
  plan.credential = password("new");
  plan.other_credential = password("secret");
  auto result = run();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->by_other_credential);
  std::swap(plan.credential, plan.other_credential);
  result = run();
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->by_other_credential);
}

TEST_F(DialTest, WhenTheServerRefusesBothCredentialsItsErrorIsTold) {
  sim::Checkers checkers;
  sim::SimPostgres server(*far, checkers, {.password = "secret"});
  plan.credential = password("one");
  plan.other_credential = password("another");
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kInvalidPassword);
}

TEST_F(DialTest, ACredentialThatProvesNothingIsNotTried) {
  ScriptedPostgres counting(*far);
  counting.script = refusing("FATAL", "28P01", "no");
  plan.credential = password(auth::make_verifier("secret", "salt", 1).to_string());
  plan.other_credential = password("guess");
  ASSERT_FALSE(run());
  EXPECT_EQ(counting.peers.size(), 1U);
  std::swap(plan.credential, plan.other_credential);
  ASSERT_FALSE(run());
  EXPECT_EQ(counting.peers.size(), 2U);
}

TEST_F(DialTest, OtherRefusalsAreNotForTheOtherCredential) {
  ScriptedPostgres server(*far);
  server.script = refusing("FATAL", "3D000", "no such database");
  plan.credential = password("one");
  plan.other_credential = password("another");
  ASSERT_FALSE(run());
  EXPECT_EQ(server.peers.size(), 1U);
}

TEST_F(DialTest, SaysWhichPasswordIsMissing) {
  sim::Checkers checkers;
  sim::SimPostgres server(*far, checkers, {.password = "secret"});
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kInvalidPassword);
  EXPECT_NE(result.error().message.find("user \"alice\""), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().hint, "");
}

TEST_F(DialTest, GivesAPasswordInTheClearOnlyWhenAsked) {
  ScriptedPostgres server(*far);
  std::string given;
  server.script = [&](ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 0) peer.send(sim::message('R', sim::be32(3)));
    if (message.type == 'p') {
      given = sim::Fields(message.body).text();
      peer.greet();
    }
    return true;
  };
  plan.credential = password("secret");
  ASSERT_TRUE(run());
  EXPECT_EQ(given, "secret");
}

TEST_F(DialTest, AServerThatIsReadyWithoutAuthenticationIsNotBelieved) {
  ScriptedPostgres server(*far);
  server.script = [](ScriptedPeer& peer, const sim::Message&) {
    peer.ready();
    return true;
  };
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sqlstate, base::kProtocolViolation);
}

TEST_F(DialTest, AServerThatDoesNotProveThePasswordIsNotBelieved) {
  ScriptedPostgres server(*far);
  server.script = [](ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 0)
      peer.send(sim::message('R', sim::be32(10) + sim::zero_ended("SCRAM-SHA-256") + '\0'));
    if (message.type == 'p') peer.greet();
    return true;
  };
  plan.credential = password("secret");
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "the server has not proven that it knows the password");
}

TEST_F(DialTest, GoesOnWithoutTlsOnlyWhereItIsNotRequired) {
  ScriptedPostgres server(*far);
  auto context = tls::ClientContext::build({.mode = model::TlsMode::kPrefer});
  ASSERT_TRUE(context) << context.error().to_string();
  plan.tls = *context;
  plan.tls_mode = model::TlsMode::kPrefer;
  ASSERT_TRUE(run());
  plan.tls_mode = model::TlsMode::kRequire;
  const auto result = run();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("the server does not support TLS, but TLS is required"),
            std::string::npos);
}

TEST_F(DialTest, ACancelNamesTheProcessAndEndsWhenTheServerHasHungUp) {
  ScriptedPostgres server(*far);
  const auto logged_in = run();
  ASSERT_TRUE(logged_in);
  const CancelTarget target{.address = logged_in->address,
                            .host = logged_in->host,
                            .process_id = logged_in->process_id,
                            .key = logged_in->cancel_key};
  server.hold_cancels = true;
  const auto shared = std::make_shared<const DialPlan>(plan);
  bool done = false;
  auto task = cancel(tools(), shared, target);
  loop->post([&] { task.start([&] { done = true; }); });
  world.run_until(world.now() + seconds(1));
  EXPECT_EQ(server.peer(0).cancels, 1);
  EXPECT_FALSE(done) << "the signal may not have been sent yet";
  far->post([&] { server.answer_cancels(); });
  world.run_until(world.now() + seconds(1));
  ASSERT_TRUE(done);
  EXPECT_EQ(task.take_result(), CancelEnd::kCertain);
}

TEST_F(DialTest, ACancelThatReachesNobodyDoesNothingMore) {
  const auto result =
      sim::run_task(*loop, cancel(tools(), std::make_shared<const DialPlan>(plan),
                                  {.address = *io::Address::from_ip("10.0.0.5", 5432), .key = "abcd"}));
  EXPECT_EQ(result, CancelEnd::kCertain);
}

TEST_F(DialTest, ACancelDoesNotWaitForever) {
  ScriptedPostgres server(*far);
  server.hold_cancels = true;
  const auto before = world.now();
  const auto result =
      sim::run_task(*loop, cancel(tools(), std::make_shared<const DialPlan>(plan),
                                  {.address = *io::Address::from_ip("10.0.0.5", 5432), .key = "abcd"}));
  EXPECT_EQ(result, CancelEnd::kInDoubt) << "it may still be on its way";
  EXPECT_GE(world.now() - before, plan.connect_timeout);
  EXPECT_LT(world.now() - before, plan.connect_timeout + milliseconds(100));
}

}  // namespace
}  // namespace penstock::upstream
