#include "pgwire/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace penstock::pgwire {
namespace {

using base::as_bytes;
using base::as_text;
using base::ByteWriter;
using ::testing::ElementsAre;
using namespace std::literals;

template <class Build>
std::string built(Build build) {
  ByteWriter out;
  build(out);
  return std::string(as_text(out.view()));
}

template <class Build>
std::string built_body(Build build) {
  return built(build).substr(kHeaderBytes);
}

const base::Error kError = {.sqlstate = base::kTooManyConnections,
                            .message = "pool is full",
                            .detail = "All 20 are in use.",
                            .hint = "Wait.",
                            .where = "never sent"};

TEST(BackendBuild, WritesTheBytesOfTheManual) {
  EXPECT_EQ(built([](ByteWriter& out) { authentication_ok(out); }), "R\0\0\0\x08\0\0\0\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { authentication_cleartext(out); }), "R\0\0\0\x08\0\0\0\x03"s);
  EXPECT_EQ(built([](ByteWriter& out) { authentication_md5(out, {1, 2, 3, 0}); }),
            "R\0\0\0\x0c\0\0\0\x05\x01\x02\x03\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { authentication_sasl(out, {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}); }),
            "R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { authentication_sasl_continue(out, "r=x"); }),
            "R\0\0\0\x0b\0\0\0\x0br=x"s);
  EXPECT_EQ(built([](ByteWriter& out) { authentication_sasl_final(out, "v=y"); }),
            "R\0\0\0\x0b\0\0\0\x0cv=y"s);
  EXPECT_EQ(built([](ByteWriter& out) { parameter_status(out, "TimeZone", "UTC"); }),
            "S\0\0\0\x11TimeZone\0UTC\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { backend_key_data(out, 258, "abcd"); }), "K\0\0\0\x0c\0\0\1\2abcd"s);
  EXPECT_EQ(built([](ByteWriter& out) { ready_for_query(out, kStatusIdle); }), "Z\0\0\0\x05I"s);
  EXPECT_EQ(built([](ByteWriter& out) { negotiate_protocol_version(out, 2, {"_pq_.a"}); }),
            "v\0\0\0\x13\0\3\0\2\0\0\0\1_pq_.a\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { parse_complete(out); }), "1\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { bind_complete(out); }), "2\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { close_complete(out); }), "3\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { no_data(out); }), "n\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { empty_query_response(out); }), "I\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { command_complete(out, "SELECT 1"); }), "C\0\0\0\x0dSELECT 1\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { notification_response(out, 1, "ch", "hi"); }),
            "A\0\0\0\x0e\0\0\0\1ch\0hi\0"s);
}

TEST(BackendBuild, WritesRowsOfTextColumns) {
  EXPECT_EQ(built([](ByteWriter& out) { row_description(out, {{"id", 23}, {"t"}}); }),
            "T\0\0\0\x2f\0\2id\0\0\0\0\0\0\0\0\0\0\x17\xff\xff\xff\xff\xff\xff\0\0"s +
                "t\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { data_row(out, {"1", std::nullopt, ""}); }),
            "D\0\0\0\x13\0\3\0\0\0\1"
            "1\xff\xff\xff\xff\0\0\0\0"s);
}

TEST(BackendBuild, WritesErrorFieldsInTheOrderOfPostgres) {
  EXPECT_EQ(built([](ByteWriter& out) { error_response(out, kError, "FATAL"); }),
            "E\0\0\0\x43SFATAL\0VFATAL\0C53300\0Mpool is full\0DAll 20 are in use.\0HWait.\0\0"s);
  EXPECT_EQ(built([](ByteWriter& out) {
              notice_response(out, {.sqlstate = base::SqlState("01000"), .message = "m"});
            }),
            "N\0\0\0\x1fSNOTICE\0VNOTICE\0C01000\0Mm\0\0"s);
}

TEST(BackendBuild, CutsTextsAtAZeroByte) {
  EXPECT_EQ(built_body([](ByteWriter& out) { parameter_status(out, "a\0b"s, "c\0d"s); }), "a\0c\0"s);
  EXPECT_EQ(built_body([](ByteWriter& out) { error_response(out, {.message = "x\0\0"s}); }),
            "SERROR\0VERROR\0CXX000\0Mx\0\0"s);
}

TEST(BackendParse, ReadsBackItsOwnErrors) {
  const auto body = built_body([](ByteWriter& out) { error_response(out, kError, "FATAL"); });
  const auto found = parse_error(as_bytes(body));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->severity, "FATAL");
  EXPECT_EQ(found->error.sqlstate, kError.sqlstate);
  EXPECT_EQ(found->error.message, kError.message);
  EXPECT_EQ(found->error.detail, kError.detail);
  EXPECT_EQ(found->error.hint, kError.hint);
  EXPECT_EQ(found->error.where, "");
  EXPECT_EQ(found->body, body);
}

TEST(BackendParse, PrefersTheSeverityThatIsNotTranslated) {
  EXPECT_EQ(parse_error(as_bytes("SFEHLER\0VERROR\0C42P01\0Mm\0\0"sv))->severity, "ERROR");
  EXPECT_EQ(parse_error(as_bytes("VERROR\0SFEHLER\0\0"sv))->severity, "ERROR");
  EXPECT_EQ(parse_error(as_bytes("SFATAL\0C57P03\0Mm\0\0"sv))->severity, "FATAL");  // before 9.6
}

TEST(BackendParse, IgnoresErrorFieldsItDoesNotKnow) {
  const auto found = parse_error(as_bytes("Mm\0Fpostgres.c\0L12\0Rexec\0?x\0C1\0\0"sv));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->error.message, "m");
  EXPECT_EQ(found->error.sqlstate.view(), "XX000");
}

TEST(BackendParse, RefusesErrorsThatDoNotEnd) {
  for (const std::string& body : {""s, "M"s, "Mm"s, "Mm\0"s, "Mm\0\0x"s}) {
    EXPECT_FALSE(parse_error(as_bytes(body)));
  }
}

TEST(BackendParse, ReadsParameterStatus) {
  const auto found = parse_parameter_status(as_bytes("DateStyle\0ISO, MDY\0"sv));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "DateStyle");
  EXPECT_EQ(found->value, "ISO, MDY");
  EXPECT_FALSE(parse_parameter_status(as_bytes("DateStyle\0ISO"sv)));
  EXPECT_FALSE(parse_parameter_status(as_bytes("a\0b\0c"sv)));
}

TEST(BackendParse, ReadsKeysOfAnyLengthTheManualAllows) {
  for (const std::size_t bytes : {4U, 32U, 256U}) {
    const std::string body = "\0\0\1\0"s + std::string(bytes, 'k');
    const auto found = parse_backend_key_data(as_bytes(body));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->process_id, 256U);
    EXPECT_EQ(found->key, std::string(bytes, 'k'));
  }
  for (const std::size_t bytes : {0U, 3U, 257U}) {
    EXPECT_FALSE(parse_backend_key_data(as_bytes("\0\0\1\0"s + std::string(bytes, 'k'))));
  }
  EXPECT_FALSE(parse_backend_key_data(as_bytes("\0\0"sv)));
}

TEST(BackendParse, ReadsEveryAuthenticationRequest) {
  EXPECT_EQ(parse_authentication(as_bytes("\0\0\0\0"sv))->code, auth_code::kOk);
  EXPECT_EQ(parse_authentication(as_bytes("\0\0\0\3"sv))->code, auth_code::kCleartextPassword);
  EXPECT_THAT(parse_authentication(as_bytes("\0\0\0\5\1\2\3\4"sv))->salt, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(parse_authentication(as_bytes("\0\0\0\x0a"
                                            "A\0B\0\0"sv))
                  ->mechanisms,
              ElementsAre("A", "B"));
  EXPECT_EQ(parse_authentication(as_bytes("\0\0\0\x0br=x"sv))->data, "r=x");
  EXPECT_EQ(parse_authentication(as_bytes("\0\0\0\x0cv=y"sv))->data, "v=y");
  EXPECT_EQ(parse_authentication(as_bytes("\0\0\0\x63?"sv))->code, 99U);
  for (const std::string& body : {""s, "\0\0\0"s, "\0\0\0\0x"s, "\0\0\0\5abc"s, "\0\0\0\5abcde"s,
                                  "\0\0\0\x0a"
                                  "A\0"s,
                                  "\0\0\0\x0a"s}) {
    EXPECT_FALSE(parse_authentication(as_bytes(body)));
  }
}

TEST(BackendParse, ReadsNegotiationWithAWholeOrABareMinorVersion) {
  const auto whole = parse_negotiate_protocol_version(as_bytes("\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0"sv));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->minor, 2);
  EXPECT_THAT(whole->unknown_options, ElementsAre("_pq_.a", "_pq_.b"));
  EXPECT_EQ(parse_negotiate_protocol_version(as_bytes("\0\0\0\1\0\0\0\0"sv))->minor, 1);
  EXPECT_FALSE(parse_negotiate_protocol_version(as_bytes("\0\2\0\0\0\0\0\0"sv)));
  EXPECT_FALSE(parse_negotiate_protocol_version(as_bytes("\0\3\0\0\xff\xff\xff\xff_pq_.a\0"sv)));
}

TEST(BackendParse, ReadsNotifications) {
  const auto found = parse_notification(as_bytes("\0\0\0\7ch\0payload\0"sv));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->process_id, 7U);
  EXPECT_EQ(found->channel, "ch");
  EXPECT_EQ(found->payload, "payload");
  EXPECT_FALSE(parse_notification(as_bytes("\0\0\0\7ch\0"sv)));
}

TEST(BackendParse, ReadsDataRowsWithNullsAndEmptyTexts) {
  const std::vector<std::optional<std::string_view>> values = {"1", std::nullopt, ""};
  EXPECT_EQ(*parse_data_row(as_bytes(built_body([&](ByteWriter& out) { data_row(out, values); }))), values);
  EXPECT_TRUE(parse_data_row(as_bytes("\0\0"sv))->empty());
  for (const std::string& body :
       {""s, "\0"s, "\0\1"s, "\0\1\0\0\0\2x"s, "\0\0x"s, "\xff\xff\0\0\0\0"s, "\0\1\xff\xff\xff\xfe"s}) {
    EXPECT_FALSE(parse_data_row(as_bytes(body)));
  }
}

TEST(BackendParse, ReadsTagsAndTransactionStatus) {
  EXPECT_EQ(*parse_command_complete(as_bytes("INSERT 0 1\0"sv)), "INSERT 0 1");
  EXPECT_FALSE(parse_command_complete(as_bytes("INSERT 0 1")));
  EXPECT_EQ(*parse_ready_for_query(as_bytes("T")), kStatusInTransaction);
  for (const std::string& body : {""s, "X"s, "II"s, "\0"s})
    EXPECT_FALSE(parse_ready_for_query(as_bytes(body)));
}

}  // namespace
}  // namespace penstock::pgwire
