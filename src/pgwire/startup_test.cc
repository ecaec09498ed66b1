#include "pgwire/startup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::pgwire {
namespace {

using base::as_bytes;
using base::as_text;
using ::testing::ElementsAre;
using ::testing::Pair;
using namespace std::literals;

const std::string kVersion30 = "\0\3\0\0"s;

StartupMessage parsed(const std::string& packet) {
  auto result = parse_startup(as_bytes(packet));
  EXPECT_TRUE(result) << (result ? "" : result.error().to_string());
  if (!result) return {};
  return std::get<StartupMessage>(*result);
}

base::Error refused(const std::string& packet) {
  const auto result = parse_startup(as_bytes(packet));
  EXPECT_FALSE(result);
  return result ? base::Error{} : result.error();
}

TEST(Startup, KeepsParametersInTheClientsOrder) {
  const auto message = parsed(kVersion30 + "user\0ann\0database\0shop\0application_name\0psql\0\0"s);
  EXPECT_EQ(message.major, 3);
  EXPECT_EQ(message.minor, 0);
  EXPECT_THAT(message.parameters,
              ElementsAre(Pair("user", "ann"), Pair("database", "shop"), Pair("application_name", "psql")));
  EXPECT_EQ(message.user(), "ann");
  EXPECT_EQ(message.database(), "shop");
  EXPECT_FALSE(message.needs_negotiation());
}

TEST(Startup, TakesTheUserNameForAMissingOrEmptyDatabase) {
  EXPECT_EQ(parsed(kVersion30 + "user\0ann\0\0"s).database(), "ann");
  EXPECT_EQ(parsed(kVersion30 + "user\0ann\0database\0\0\0"s).database(), "ann");
}

TEST(Startup, LetsTheLastOfTwoEqualNamesWin) {
  const auto message = parsed(kVersion30 + "user\0ann\0user\0bob\0\0"s);
  EXPECT_EQ(message.user(), "bob");
  EXPECT_EQ(message.find("absent"), nullptr);
}

TEST(Startup, SeparatesProtocolOptionsThatItDoesNotKnow) {
  const auto message = parsed("\0\3\0\2user\0ann\0_pq_.compress\0zstd\0_pq_.x\0\0\0"s);
  EXPECT_EQ(message.minor, 2);
  EXPECT_THAT(message.pq_options, ElementsAre("_pq_.compress", "_pq_.x"));
  EXPECT_THAT(message.parameters, ElementsAre(Pair("user", "ann")));
  EXPECT_TRUE(message.needs_negotiation());
}

TEST(Startup, NegotiatesDownANewerMinorVersion) {
  EXPECT_TRUE(parsed("\0\3\0\3user\0a\0\0"s).needs_negotiation());
  EXPECT_EQ(parsed("\0\3\x27\x0fuser\0a\0\0"s).minor, 9999);  // what libpq sends to test servers
  EXPECT_FALSE(parsed("\0\3\0\2user\0a\0\0"s).needs_negotiation());
}

TEST(Startup, RefusesALayoutThatDoesNotEndWithItsTerminator) {
  for (const std::string& rest :
       {""s, "user"s, "user\0ann"s, "user\0ann\0"s, "user\0ann\0\0x"s, "user\0ann\0\0\0"s, "user\0"s}) {
    const auto error = refused(kVersion30 + rest);
    EXPECT_EQ(error.message, "invalid startup packet layout: expected terminator as last byte") << rest;
    EXPECT_EQ(error.sqlstate, base::kProtocolViolation);
  }
}

TEST(Startup, RefusesAMissingOrEmptyUserName) {
  for (const std::string& rest : {"\0"s, "user\0\0\0"s, "database\0shop\0\0"s, "User\0ann\0\0"s}) {
    const auto error = refused(kVersion30 + rest);
    EXPECT_EQ(error.message, "no PostgreSQL user name specified in startup packet");
    EXPECT_EQ(error.sqlstate.view(), "28000");
  }
}

TEST(Startup, RefusesOtherMajorVersionsInTheWordsOfPostgres) {
  EXPECT_EQ(refused("\0\2\0\0anything"s).message,
            "unsupported frontend protocol 2.0: server supports 3.0 to 3.2");
  EXPECT_EQ(refused("\0\4\0\1user\0a\0\0"s).sqlstate.view(), "0A000");
  EXPECT_EQ(refused("GET "s).message,
            "unsupported frontend protocol 18245.21536: server supports 3.0 to 3.2");
}

TEST(Startup, RefusesAPacketWithoutACode) {
  for (const std::string& packet : {""s, "\0"s, "\0\3\0"s}) {
    EXPECT_EQ(refused(packet).message, "invalid length of startup packet");
  }
}

TEST(Startup, KnowsSslAndGssRequests) {
  EXPECT_TRUE(std::holds_alternative<SslRequest>(*parse_startup(as_bytes("\x04\xd2\x16\x2f"))));
  EXPECT_TRUE(std::holds_alternative<GssEncRequest>(*parse_startup(as_bytes("\x04\xd2\x16\x30"))));
  EXPECT_EQ(refused("\x04\xd2\x16\x2fx"s).message, "invalid length of startup packet");
}

TEST(Startup, ReadsCancelKeysOfFourTo256Bytes) {
  const std::string head = "\x04\xd2\x16\x2e\0\0\x30\x39"s;
  for (const std::size_t bytes : {4U, 32U, 256U}) {
    const std::string key(bytes, '\xfe');
    const auto result = parse_startup(as_bytes(head + key));
    ASSERT_TRUE(result);
    EXPECT_EQ(std::get<CancelRequest>(*result).process_id, 12345U);
    EXPECT_EQ(std::get<CancelRequest>(*result).key, key);
  }
  for (const std::size_t bytes : {0U, 3U, 257U}) {
    EXPECT_EQ(refused(head + std::string(bytes, 'k')).message,
              "invalid length of cancel key in cancel request packet");
  }
  EXPECT_EQ(refused(head.substr(0, 7)).message, "invalid length of cancel request packet");
}

TEST(Startup, ReadsReplicationAsPostgresReadsABoolean) {
  const auto replication = [](const std::string& value) {
    return StartupMessage{.parameters = {{"user", "a"}, {"replication", value}}}.replication();
  };
  EXPECT_EQ(*StartupMessage{}.replication(), Replication::kNo);
  for (const char* value : {"true", "TRUE", "t", "1", "on", "yes"}) {
    EXPECT_EQ(*replication(value), Replication::kPhysical) << value;
  }
  for (const char* value : {"false", "f", "0", "off", "of", "no", "n"}) {
    EXPECT_EQ(*replication(value), Replication::kNo) << value;
  }
  EXPECT_EQ(*replication("database"), Replication::kDatabase);
  for (const char* value : {"", "o", "truee", "Database", "2"}) {
    ASSERT_FALSE(replication(value)) << value;
    EXPECT_EQ(replication(value).error().sqlstate.view(), "22023");
  }
  EXPECT_EQ(replication("maybe").error().message, "invalid value for parameter \"replication\": \"maybe\"");
}

TEST(Startup, BuildsTheBytesOfTheManual) {
  base::ByteWriter out;
  build_ssl_request(out);
  EXPECT_EQ(as_text(out.view()), "\0\0\0\x08\x04\xd2\x16\x2f"s);
  out.clear();
  build_gss_enc_request(out);
  EXPECT_EQ(as_text(out.view()), "\0\0\0\x08\x04\xd2\x16\x30"s);
  out.clear();
  build_cancel_request(out, 0x01020304, "\xaa\xbb\xcc\xdd");
  EXPECT_EQ(as_text(out.view()), "\0\0\0\x10\x04\xd2\x16\x2e\x01\x02\x03\x04\xaa\xbb\xcc\xdd"s);
  out.clear();
  build_startup(out, 3, 2, {{"user", "ann"}, {"database", "shop"}});
  EXPECT_EQ(as_text(out.view()), "\0\0\0\x20\0\3\0\2user\0ann\0database\0shop\0\0"s);
}

TEST(Startup, ReadsBackWhatItBuilds) {
  const Parameters parameters = {{"user", "ann"}, {"options", "-c a=b"}, {"empty", ""}};
  base::ByteWriter out;
  build_startup(out, 3, 0, parameters);
  const auto result = parse_startup(out.view().subspan(4));
  ASSERT_TRUE(result);
  EXPECT_EQ(std::get<StartupMessage>(*result).parameters, parameters);
}

}  // namespace
}  // namespace penstock::pgwire
