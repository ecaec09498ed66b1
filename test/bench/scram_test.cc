#include "scram.h"

#include <gtest/gtest.h>

namespace penstock::bench {
namespace {

TEST(Scram, BothEndsAgreeAndTheClientKnowsTheServer) {
  ScramKeyCache cache("secret");
  ScramClient client;
  ScramServer server;
  const auto server_first = server.first(client.first("abc"), "def", "0123456789abcdef", 4096);
  ASSERT_TRUE(server_first);
  const auto client_final = client.final(*server_first, cache);
  ASSERT_TRUE(client_final);
  const auto server_final = server.final(*client_final, derive_keys("secret", "0123456789abcdef", 4096));
  ASSERT_TRUE(server_final);
  EXPECT_TRUE(client.server_is_genuine(*server_final));
  EXPECT_FALSE(client.server_is_genuine("v=AAAA"));
}

TEST(Scram, AWrongPasswordIsRefused) {
  ScramKeyCache cache("guess");
  ScramClient client;
  ScramServer server;
  const auto server_first = server.first(client.first("abc"), "def", "salt", 1);
  const auto client_final = client.final(*server_first, cache);
  ASSERT_TRUE(client_final);
  EXPECT_FALSE(server.final(*client_final, derive_keys("secret", "salt", 1)));
}

// The example of RFC 7677, section 3 (user name left out of the derivation).
TEST(Scram, DerivesTheKeysOfTheRfc) {
  const auto salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==");
  ASSERT_TRUE(salt);
  const ScramKeys keys = derive_keys("pencil", *salt, 4096);
  const std::string stored(reinterpret_cast<const char*>(keys.stored_key.data()), keys.stored_key.size());
  EXPECT_EQ(base64(stored), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
}

TEST(Scram, AServerNonceThatDoesNotContinueOursIsRefused) {
  ScramKeyCache cache("secret");
  ScramClient client;
  (void)client.first("abc");
  EXPECT_FALSE(client.final("r=xyz,s=c2FsdA==,i=1", cache));
}

TEST(Md5Answer, IsWhatPostgresExpects) {
  // Computed with Python: md5(md5(b"secretalice").hexdigest() + b"\1\2\3\4").
  EXPECT_EQ(md5_answer("alice", "secret", "\1\2\3\4"), "md598a0412b9c31436fc53776e863350083");
  EXPECT_NE(md5_answer("alice", "secret", "\1\2\3\4"), md5_answer("alice", "secret", "\1\2\3\5"));
}

}  // namespace
}  // namespace penstock::bench
