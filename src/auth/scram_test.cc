#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "auth/crypto.h"
#include "auth/scram_client.h"
#include "auth/scram_message.h"
#include "auth/scram_server.h"

namespace penstock::auth {
namespace {

constexpr std::string_view kSalt = "0123456789abcdef";
const std::string kHash(32, 'h');

// Both ends in one place; `tamper` sees every message on its way.
struct Exchange {
  base::SeededRandom random{7};
  ScramKeyCache cache{random};
  ScramVerifier verifier = make_verifier("pencil", kSalt, 100);
  ScramCredential credential = WipedText("pencil");
  ScramServer::Options server_options = {};
  ScramClient::Options client_options = {};
  std::map<std::string, std::function<std::string(std::string)>> tamper = {};
  std::string failed_at = {};
  base::Error error = {};
  ScramKeys recovered = {};
  std::string mechanism = {};

  std::string pass(const std::string& name, const std::string& message) {
    const auto found = tamper.find(name);
    return found == tamper.end() ? message : found->second(message);
  }
  template <class T>
  bool failed(const std::string& name, const base::Result<T>& result) {
    if (result) return false;
    failed_at = name;
    error = result.error();
    return true;
  }
  bool run() {
    ScramServer server(verifier, random, server_options);
    auto client =
        ScramClient::choose(server.mechanisms(), std::move(credential), random, cache, client_options);
    if (failed("choose", client)) return false;
    mechanism = client->mechanism();
    const auto challenge = server.first(pass("mechanism", mechanism), pass("client-first", client->first()));
    if (failed("server.first", challenge)) return false;
    const auto proof = client->respond(pass("server-first", *challenge));
    if (failed("client.respond", proof)) return false;
    const auto signature = server.final(pass("client-final", *proof));
    if (failed("server.final", signature)) return false;
    const auto verified = client->verify(pass("server-final", *signature));
    if (failed("client.verify", verified)) return false;
    recovered = server.keys();
    return client->verified();
  }
  void bind() {
    server_options = {.on_tls = true, .channel_binding = kHash};
    client_options = {.on_tls = true, .channel_binding = kHash};
  }
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at != text.npos) text.replace(at, from.size(), to);
  return text;
}

TEST(Scram, AgreesWithTheVectorsOfRfc7677) {
  const ScramKeys keys = derive_keys("pencil", *base64_decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
  const std::string_view auth_message =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s="
      "W22ZaJ0SNY7soEsUEjb6gQ==,"
      "i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  Key proof = hmac_sha256(keys.stored_key().view(), {auth_message});
  for (std::size_t i = 0; i < Key::kSize; ++i) proof.data()[i] ^= keys.client_key.data()[i];
  EXPECT_EQ(base64_encode(proof.view()), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_EQ(base64_encode(hmac_sha256(keys.server_key.view(), {auth_message}).view()),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, LogsInWithAPassword) {
  Exchange exchange;
  EXPECT_TRUE(exchange.run()) << exchange.failed_at << exchange.error.to_string();
  EXPECT_EQ(exchange.mechanism, kScramSha256);
}

TEST(Scram, ShowsTheServerKeysThatLogInElsewhere) {
  Exchange front;
  ASSERT_TRUE(front.run());
  Exchange back;
  back.credential = front.recovered;
  EXPECT_TRUE(back.run()) << back.failed_at << back.error.to_string();

  Exchange other_salt;
  other_salt.verifier = make_verifier("pencil", "another salt 000", 100);
  other_salt.credential = front.recovered;
  EXPECT_FALSE(other_salt.run());
  EXPECT_EQ(other_salt.failed_at, "server.final");
}

TEST(Scram, RefusesAWrongPassword) {
  Exchange exchange;
  exchange.credential = WipedText("pencils");
  EXPECT_FALSE(exchange.run());
  EXPECT_EQ(exchange.failed_at, "server.final");
  EXPECT_EQ(exchange.error.sqlstate, base::kInvalidPassword);
}

TEST(ScramServer, ChecksAProofAgainstSeveralVerifiersOfOneSalt) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const std::string_view offered[] = {kScramSha256};
  for (const char* password : {"old", "new", "neither"}) {
    auto client = ScramClient::choose(offered, WipedText(password), random, cache, {});
    ScramServer server(make_verifier("nobody", kSalt, 10), random, {});
    const auto challenge = server.first(client->mechanism(), client->first());
    ASSERT_TRUE(challenge);
    EXPECT_FALSE(server.check(make_verifier("new", kSalt, 10))) << "before there is a proof";
    ASSERT_TRUE(server.read_proof(*client->respond(*challenge)));
    auto answer = server.check(make_verifier("new", kSalt, 10));
    if (!answer) {
      EXPECT_EQ(answer.error().sqlstate, base::kInvalidPassword);
      answer = server.check(make_verifier("old", kSalt, 10));
    }
    EXPECT_EQ(answer.has_value(), std::string_view(password) != "neither");
    if (!answer) continue;
    EXPECT_TRUE(client->verify(*answer));
    EXPECT_EQ(server.keys().stored_key(), make_verifier(password, kSalt, 10).stored_key);
    EXPECT_FALSE(server.check(make_verifier("new", kSalt, 10))) << "it is over";
  }
}

TEST(Scram, BindsTheChannelWheneverBothCan) {
  Exchange exchange;
  exchange.bind();
  EXPECT_TRUE(exchange.run()) << exchange.failed_at << exchange.error.to_string();
  EXPECT_EQ(exchange.mechanism, kScramSha256Plus);
}

TEST(Scram, DoesWithoutBindingWhenThePolicySaysSo) {
  Exchange exchange;
  exchange.bind();
  exchange.client_options.policy = ChannelBinding::kDisable;
  EXPECT_TRUE(exchange.run()) << exchange.failed_at << exchange.error.to_string();
  EXPECT_EQ(exchange.mechanism, kScramSha256);
}

TEST(Scram, DoesWithoutBindingWhenTheServerHasNone) {
  Exchange exchange;
  exchange.bind();
  exchange.server_options.channel_binding.clear();
  EXPECT_TRUE(exchange.run()) << exchange.failed_at << exchange.error.to_string();
  EXPECT_EQ(exchange.mechanism, kScramSha256);
}

TEST(Scram, RefusesToGoWithoutARequiredBinding) {
  Exchange no_tls;
  no_tls.client_options.policy = ChannelBinding::kRequire;
  EXPECT_FALSE(no_tls.run());
  EXPECT_EQ(no_tls.failed_at, "choose");

  Exchange not_offered;
  not_offered.bind();
  not_offered.server_options.channel_binding.clear();
  not_offered.client_options.policy = ChannelBinding::kRequire;
  EXPECT_FALSE(not_offered.run());
  EXPECT_EQ(not_offered.failed_at, "choose");
}

TEST(Scram, NoticesAManInTheMiddleByTheBinding) {
  Exchange exchange;
  exchange.bind();
  exchange.client_options.channel_binding = std::string(32, 'm');
  EXPECT_FALSE(exchange.run());
  EXPECT_EQ(exchange.failed_at, "server.final");
  EXPECT_EQ(exchange.error.sqlstate, base::kInvalidAuthorization);
}

TEST(Scram, NoticesThatTheOfferOfBindingWasRemoved) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const std::string_view offered[] = {kScramSha256};
  auto client = ScramClient::choose(offered, WipedText("pencil"), random, cache,
                                    {.on_tls = true, .channel_binding = kHash});
  ASSERT_TRUE(client);
  ScramServer server(make_verifier("pencil", kSalt, 10), random, {.on_tls = true, .channel_binding = kHash});
  const auto challenge = server.first(client->mechanism(), client->first());
  ASSERT_FALSE(challenge);
  EXPECT_EQ(challenge.error().sqlstate, base::kInvalidAuthorization);
}

TEST(Scram, RefusesBindingOfferedWithoutTls) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const std::string_view offered[] = {kScramSha256Plus, kScramSha256};
  EXPECT_FALSE(ScramClient::choose(offered, WipedText("pencil"), random, cache, {}));
  const std::string_view unknown[] = {"OAUTHBEARER"};
  const auto none = ScramClient::choose(unknown, WipedText("pencil"), random, cache, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().sqlstate, base::kFeatureNotSupported);
}

TEST(ScramClient, IsNotFooledByAServerThatDoesNotKnowThePassword) {
  Exchange exchange;
  exchange.verifier.server_key = sha256(base::as_bytes("guess"));
  EXPECT_FALSE(exchange.run());
  EXPECT_EQ(exchange.failed_at, "client.verify");
}

TEST(ScramClient, BoundsTheIterations) {
  Exchange exchange;
  exchange.tamper["server-first"] = [](std::string text) { return replaced(text, "i=100", "i=2000000000"); };
  EXPECT_FALSE(exchange.run());
  EXPECT_EQ(exchange.failed_at, "client.respond");
  EXPECT_EQ(exchange.error.sqlstate, base::kInvalidAuthorization);
}

TEST(ScramClient, RefusesMalformedServerMessages) {
  const std::pair<const char*, const char*> kChanges[] = {
      {"r=", "x="},      {"r=", "r=x"},      {",s=", ",t="},  {",s=", ",s=*"},        {"i=100", "i=0"},
      {"i=100", "i=-5"}, {"i=100", "i=1e2"}, {"i=100", "i="}, {"i=100", "i=100,x=y"}, {"i=100", ""},
  };
  for (const auto& [from, to] : kChanges) {
    Exchange exchange;
    exchange.tamper["server-first"] = [=](std::string text) { return replaced(text, from, to); };
    EXPECT_FALSE(exchange.run()) << from << " -> " << to;
    EXPECT_EQ(exchange.failed_at, "client.respond") << from << " -> " << to;
  }
  for (const char* final : {"", "v=", "v=AAAA", "w=", "e=other-error", "e=\x01"}) {
    Exchange exchange;
    exchange.tamper["server-final"] = [=](std::string) { return final; };
    EXPECT_FALSE(exchange.run()) << final;
    EXPECT_EQ(exchange.failed_at, "client.verify") << final;
  }
}

TEST(ScramClient, RefusesMessagesOutOfOrder) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const std::string_view offered[] = {kScramSha256};
  const auto begin = [&] {
    auto client = ScramClient::choose(offered, WipedText("pencil"), random, cache, {});
    const std::string nonce = client->first().substr(std::string("n,,n=,r=").size());
    return std::pair(std::move(*client), "r=" + nonce + "x,s=MDEyMw==,i=10");
  };
  auto [early, unused] = begin();
  EXPECT_EQ(early.verify("v=AAAA").error().sqlstate, base::kProtocolViolation);
  auto [twice, challenge] = begin();
  EXPECT_TRUE(twice.respond(challenge));
  EXPECT_EQ(twice.respond(challenge).error().sqlstate, base::kProtocolViolation);
  EXPECT_EQ(twice.verify("v=AAAA").error().sqlstate, base::kProtocolViolation);
  EXPECT_FALSE(twice.verified());
}

TEST(ScramServer, RefusesMessagesOutOfOrder) {
  base::SeededRandom random(1);
  ScramServer early(make_verifier("pencil", kSalt, 10), random, {});
  EXPECT_EQ(early.final("c=biws").error().sqlstate, base::kProtocolViolation);
  ScramServer twice(make_verifier("pencil", kSalt, 10), random, {});
  EXPECT_TRUE(twice.first(kScramSha256, "n,,n=,r=abc"));
  EXPECT_EQ(twice.first(kScramSha256, "n,,n=,r=abc").error().sqlstate, base::kProtocolViolation);
  EXPECT_EQ(twice.final("c=biws").error().sqlstate, base::kProtocolViolation);
}

TEST(ScramClient, WantsFreshRandomnessFromTheServer) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const std::string_view offered[] = {kScramSha256};
  auto client = ScramClient::choose(offered, WipedText("pencil"), random, cache, {});
  ASSERT_TRUE(client);
  const std::string nonce = client->first().substr(std::string("n,,n=,r=").size());
  EXPECT_FALSE(client->respond("r=" + nonce + ",s=MDEyMw==,i=10"));
}

struct FirstCase {
  const char* message;
  base::SqlState sqlstate;
  const char* words;  // within message or detail
};

TEST(ScramServer, RefusesBadFirstMessagesInTheWordsOfPostgres) {
  const FirstCase kCases[] = {
      {"", base::kProtocolViolation, "The message is empty."},
      {"x,,n=,r=abc", base::kProtocolViolation, "Unexpected channel-binding flag \"x\"."},
      {"\x01,,n=,r=abc", base::kProtocolViolation, "Unexpected channel-binding flag \"0x01\"."},
      {"n", base::kProtocolViolation, "Comma expected, but found character"},
      {"n;", base::kProtocolViolation, "Comma expected, but found character \";\"."},
      {"n,", base::kProtocolViolation, "Unexpected attribute"},
      {"n,a=bob,n=,r=abc", base::kFeatureNotSupported, "authorization identity"},
      {"n,b=bob,n=,r=abc", base::kProtocolViolation, "Unexpected attribute \"b\""},
      {"n,,m=x,n=,r=abc", base::kFeatureNotSupported, "unsupported SCRAM extension"},
      {"n,,r=abc", base::kProtocolViolation, "Expected attribute \"n\" but found \"r\"."},
      {"n,,n,r=abc", base::kProtocolViolation, "Expected character \"=\" for attribute \"n\"."},
      {"n,,n=", base::kProtocolViolation, "Expected attribute \"r\""},
      {"n,,n=,r=", base::kProtocolViolation, "non-printable characters in SCRAM nonce"},
      {"n,,n=,r=a\x7f", base::kProtocolViolation, "non-printable characters in SCRAM nonce"},
      {"n,,n=,r=abc,1=x", base::kProtocolViolation, "invalid character \"1\""},
      {"p=tls-server-end-point,,n=,r=abc", base::kProtocolViolation, "SCRAM-SHA-256 without channel binding"},
  };
  for (const FirstCase& c : kCases) {
    base::SeededRandom random(1);
    ScramServer server(make_verifier("pencil", kSalt, 10), random, {});
    const auto reply = server.first(kScramSha256, c.message);
    ASSERT_FALSE(reply) << c.message;
    EXPECT_EQ(reply.error().sqlstate, c.sqlstate) << c.message;
    EXPECT_NE((reply.error().message + reply.error().detail).find(c.words), std::string::npos)
        << reply.error().to_string();
  }
}

TEST(ScramServer, RefusesBadFirstMessagesOfBindingClients) {
  const FirstCase kCases[] = {
      {"n,,n=,r=abc", base::kProtocolViolation, "does not include channel binding data"},
      {"y,,n=,r=abc", base::kProtocolViolation, "does not include channel binding data"},
      {"p=tls-unique,,n=,r=abc", base::kProtocolViolation,
       "unsupported SCRAM channel-binding type \"tls-unique\""},
      {"p", base::kProtocolViolation, "Expected character \"=\""},
      {"p=tls-server-end-point", base::kProtocolViolation, "Comma expected"},
  };
  for (const FirstCase& c : kCases) {
    base::SeededRandom random(1);
    ScramServer server(make_verifier("pencil", kSalt, 10), random,
                       {.on_tls = true, .channel_binding = kHash});
    const auto reply = server.first(kScramSha256Plus, c.message);
    ASSERT_FALSE(reply) << c.message;
    EXPECT_EQ(reply.error().sqlstate, c.sqlstate) << c.message;
    EXPECT_NE((reply.error().message + reply.error().detail).find(c.words), std::string::npos)
        << reply.error().to_string();
  }
}

TEST(ScramServer, RefusesMechanismsItDidNotOffer) {
  for (std::string_view mechanism : {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", ""}) {
    base::SeededRandom random(1);
    ScramServer server(make_verifier("pencil", kSalt, 10), random, {});
    const auto reply = server.first(mechanism, "n,,n=,r=abc");
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().sqlstate, base::kProtocolViolation);
  }
}

TEST(ScramServer, TellsIterationsAndSaltOfTheVerifier) {
  base::SeededRandom random(1);
  ScramServer server(make_verifier("pencil", "other salt", 777), random, {});
  const auto reply = server.first(kScramSha256, "n,,n=ignored,r=abc");
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->starts_with("r=abc"));
  EXPECT_TRUE(reply->ends_with(",s=" + base64_encode(base::as_bytes("other salt")) + ",i=777")) << *reply;
}

TEST(ScramServer, RefusesTamperedFinalMessages) {
  const std::pair<const char*, const char*> kChanges[] = {
      {"c=biws", "c=eSws"}, {"c=", "d="},       {",r=", ",r=x"},    {",r=", ",q="},
      {",p=", ",p=*"},      {",p=", ",p=AAAA"}, {",p=", ",x=y,p="}, {",p=", ",o="},
  };
  for (const auto& [from, to] : kChanges) {
    Exchange exchange;
    exchange.tamper["client-final"] = [=](std::string text) { return replaced(text, from, to); };
    EXPECT_FALSE(exchange.run()) << from << " -> " << to;
    EXPECT_EQ(exchange.failed_at, "server.final") << from << " -> " << to;
  }
  Exchange garbage;
  garbage.tamper["client-final"] = [](std::string text) { return text + ",x=y"; };
  EXPECT_FALSE(garbage.run());
  EXPECT_EQ(garbage.error.sqlstate, base::kProtocolViolation);
}

TEST(Scram, NoticesEveryChangedBit) {
  for (const char* name : {"client-first", "server-first", "client-final", "server-final"}) {
    for (std::size_t at = 0; at < 140; ++at) {
      for (const int bit : {0, 2, 5}) {
        Exchange exchange;
        exchange.verifier = make_verifier("pencil", kSalt, 10);
        bool changed = false;
        exchange.tamper[name] = [&](std::string text) {
          if (at < text.size()) {
            text[at] = static_cast<char>(text[at] ^ (1 << bit));
            changed = true;
          }
          return text;
        };
        const bool proven = exchange.run();
        if (changed) EXPECT_FALSE(proven) << name << " byte " << at << " bit " << bit;
      }
    }
  }
}

class LoginVerifiersTest : public ::testing::Test {
 public:
  // Whether a client with `password` gets in.
  bool lets_in(std::string_view password, const std::vector<Secret>& secrets, std::size_t turn = 0) {
    const ScramVerifier asked = verifiers.challenge({.secrets = secrets, .user = "acme/bob", .turn = turn});
    const std::string_view offered[] = {kScramSha256};
    auto client = ScramClient::choose(offered, WipedText(password), random, cache, {});
    ScramServer server(asked, random, {});
    const auto challenge = server.first(client->mechanism(), client->first());
    EXPECT_TRUE(server.read_proof(*client->respond(*challenge)));
    bool is_in = false;
    for (const Secret& secret : secrets) {
      const auto verifier = verifiers.verifier(secret, asked);
      if (verifier && !is_in) is_in = server.check(*verifier).has_value();
    }
    return is_in;
  }
  static Secret stored(std::string_view password, std::string_view salt) {
    return Secret::parse(make_verifier(password, salt, 10).to_string());
  }
  base::SeededRandom random{1};
  ScramKeyCache cache{random};
  LoginVerifiers verifiers{sha256(base::as_bytes("ours")), cache};
};

TEST_F(LoginVerifiersTest, GiveUnknownUsersALastingFace) {
  const auto first = verifiers.challenge({.user = "acme/bob"});
  EXPECT_EQ(first.to_string(), verifiers.challenge({.user = "acme/bob"}).to_string());
  EXPECT_NE(first.salt, verifiers.challenge({.user = "acme/alice"}).salt);
  EXPECT_NE(first.salt, verifiers.challenge({.user = "globex/bob"}).salt)
      << "one name in two tenants with one salt would be known for nobody's";
  EXPECT_EQ(first.salt.size(), 16u);
  EXPECT_EQ(first.iterations, 4096);
  EXPECT_EQ(verifiers.challenge({.user = "acme/bob", .iterations = 9000}).iterations, 9000);
  LoginVerifiers elsewhere(sha256(base::as_bytes("others")), cache);
  EXPECT_NE(elsewhere.challenge({.user = "acme/bob"}).salt, first.salt);
}

TEST_F(LoginVerifiersTest, LetPlainPasswordsLogInByScramUnderTheFaceOfUnknownUsers) {
  const std::vector<Secret> secrets = {Secret::parse("pencil")};
  EXPECT_TRUE(lets_in("pencil", secrets));
  EXPECT_FALSE(lets_in("pen", secrets));
  EXPECT_EQ(verifiers.challenge({.secrets = secrets, .user = "acme/bob"}).to_string(),
            verifiers.challenge({.user = "acme/bob"}).to_string());
}

TEST_F(LoginVerifiersTest, DeriveNothingBeforeThereIsAProof) {
  const std::vector<Secret> secrets = {Secret::parse("pencil")};
  const auto challenge = verifiers.challenge({.secrets = secrets, .user = "acme/bob"});
  EXPECT_EQ(cache.counts().misses, 0u);
  EXPECT_TRUE(verifiers.verifier(secrets.front(), challenge));
  EXPECT_EQ(cache.counts().misses, 1u);
}

TEST_F(LoginVerifiersTest, NobodyKnowsThePasswordOfAnUnknownUser) {
  EXPECT_FALSE(lets_in("", {}));
  EXPECT_FALSE(lets_in("pencil", {}));
}

TEST_F(LoginVerifiersTest, CannotDoScramWithMd5SecretsOrEmptyOnes) {
  EXPECT_FALSE(lets_in("pencil", {Secret::parse("md50123456789abcdef0123456789abcdef")}));
  EXPECT_FALSE(lets_in("", {Secret::parse("")}));
}

TEST_F(LoginVerifiersTest, CheckTwoPasswordsInOneExchange) {
  for (const auto& secrets : {std::vector{Secret::parse("new"), Secret::parse("old")},
                              std::vector{Secret::parse("new"), stored("old", "salt")},
                              std::vector{stored("new", "salt"), Secret::parse("old")},
                              std::vector{stored("new", "salt"), stored("old", "salt")},
                              std::vector{Secret::parse("new"), Secret::parse("old"),
                                          Secret::parse("md50123456789abcdef0123456789abcdef")}}) {
    EXPECT_EQ(LoginVerifiers::turns(secrets), 1u);
    EXPECT_TRUE(lets_in("new", secrets));
    EXPECT_TRUE(lets_in("old", secrets));
    EXPECT_FALSE(lets_in("other", secrets));
  }
}

TEST_F(LoginVerifiersTest, VerifiersOfDifferentSaltsTakeTurns) {
  const std::vector secrets = {stored("new", "one salt"), stored("old", "another salt")};
  EXPECT_EQ(LoginVerifiers::turns(secrets), 2u);
  EXPECT_TRUE(lets_in("new", secrets, 0));
  EXPECT_FALSE(lets_in("old", secrets, 0));
  EXPECT_TRUE(lets_in("old", secrets, 1));
  EXPECT_FALSE(lets_in("new", secrets, 1));
  EXPECT_TRUE(lets_in("new", secrets, 2));
}

}  // namespace
}  // namespace penstock::auth
