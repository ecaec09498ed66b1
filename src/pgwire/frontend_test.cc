#include "pgwire/frontend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace penstock::pgwire {
namespace {

using base::as_bytes;
using base::as_text;
using base::ByteView;
using base::ByteWriter;
using namespace std::literals;

template <class Build>
std::string built(Build build) {
  ByteWriter out;
  build(out);
  return std::string(as_text(out.view()));
}

TEST(FrontendBuild, WritesTheBytesOfTheManual) {
  EXPECT_EQ(built([](ByteWriter& out) { query(out, "SELECT 1"); }), "Q\0\0\0\x0dSELECT 1\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { parse(out, "s1", "SELECT $1", std::array{23U, 0U}); }),
            "P\0\0\0\x1bs1\0SELECT $1\0\0\x02\0\0\0\x17\0\0\0\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { parse(out, "", ""); }), "P\0\0\0\x08\0\0\0\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { describe(out, kStatement, "s1"); }), "D\0\0\0\x08Ss1\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { close(out, kPortal, ""); }), "C\0\0\0\x06P\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { execute(out, "p", 7); }), "E\0\0\0\x0ap\0\0\0\0\x07"s);
  EXPECT_EQ(built([](ByteWriter& out) { sync(out); }), "S\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { flush(out); }), "H\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { terminate(out); }), "X\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { password(out, "pw"); }), "p\0\0\0\x07pw\0"s);
  EXPECT_EQ(built([](ByteWriter& out) { sasl_initial_response(out, "SCRAM-SHA-256", "n,,n=,r=x"); }),
            "p\0\0\0\x1fSCRAM-SHA-256\0\0\0\0\x09n,,n=,r=x"s);
  EXPECT_EQ(built([](ByteWriter& out) { sasl_initial_response(out, "M", std::nullopt); }),
            "p\0\0\0\x0aM\0\xff\xff\xff\xff"s);
  EXPECT_EQ(built([](ByteWriter& out) { sasl_response(out, "c=biws"); }),
            "p\0\0\0\x0a"
            "c=biws"s);
  EXPECT_EQ(built([](ByteWriter& out) { copy_data(out, as_bytes("1\n")); }),
            "d\0\0\0\x06"
            "1\n"s);
  EXPECT_EQ(built([](ByteWriter& out) { copy_done(out); }), "c\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteWriter& out) { copy_fail(out, "why\0not"s); }), "f\0\0\0\x08why\0"s);
}

TEST(FrontendBuild, WritesABindOfTextsAndNulls) {
  const std::array<std::optional<std::string_view>, 2> values = {"ab", std::nullopt};
  EXPECT_EQ(built([&](ByteWriter& out) { bind_text(out, "", "s", values); }),
            "B\0\0\0\x17\0s\0\0\0\0\x02\0\0\0\x02"
            "ab\xff\xff\xff\xff\0\0"s);
}

TEST(FrontendBuild, RewritesTheNamesOfABindAheadOfItsUntouchedRest) {
  const std::string body = "p\0client\0\0\1\0\1\0\0\0\0"s;
  const auto old = parse_bind_prefix(as_bytes(body), body.size());
  ASSERT_TRUE(old && *old);
  const std::string rest = body.substr((*old)->rest_offset);
  const auto header = built([&](ByteWriter& out) { bind_header(out, (*old)->portal, "PS_17", rest.size()); });
  EXPECT_EQ(header + rest, "B\0\0\0\x14p\0PS_17\0\0\1\0\1\0\0\0\0"s);
}

TEST(FrontendBuild, RewritesTheNameOfAParseAheadOfItsUntouchedRest) {
  const std::string body = "client\0SELECT 1\0\0\0"s;
  const auto old = parse_parse_prefix(as_bytes(body), body.size());
  ASSERT_TRUE(old && *old);
  EXPECT_EQ((*old)->name, "client");
  const std::string rest = body.substr((*old)->rest_offset);
  const auto whole = built([&](ByteWriter& out) { parse_header(out, "x", rest.size()); }) + rest;
  EXPECT_EQ(whole, built([](ByteWriter& out) { parse(out, "x", "SELECT 1"); }));
}

TEST(FrontendParse, ReadsAQuery) {
  EXPECT_EQ(*parse_query(as_bytes("SELECT 1\0"sv)), "SELECT 1");
  EXPECT_EQ(*parse_query(as_bytes("\0"sv)), "");
  EXPECT_EQ(parse_query(as_bytes("SELECT 1")).error().message, "invalid string in message");
  EXPECT_EQ(parse_query({}).error().message, "invalid string in message");
  EXPECT_EQ(parse_query(as_bytes("a\0b\0"sv)).error().message, "invalid message format");
}

TEST(FrontendParse, ReadsAParseOnceItIsWhole) {
  const std::string body = "s1\0SELECT $1\0\0\1\0\0\0\x17"s;
  for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
    const auto early = parse_parse(as_bytes(body).first(bytes), body.size());
    ASSERT_TRUE(early);
    EXPECT_FALSE(*early) << bytes;
  }
  const auto message = parse_parse(as_bytes(body), body.size());
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->name, "s1");
  EXPECT_EQ((*message)->query, "SELECT $1");
  EXPECT_EQ(as_text((*message)->types), "\0\0\0\x17"s);
  EXPECT_EQ(built([&](ByteWriter& out) {
              parse_raw(out, (*message)->name, (*message)->query, (*message)->types);
            }).substr(kHeaderBytes),
            body);
}

TEST(FrontendParse, RefusesAParseWhoseTypesDoNotFit) {
  const std::string missing = "\0\0\0\2\0\0\0\x17"s;
  EXPECT_EQ(parse_parse(as_bytes(missing), missing.size()).error().message,
            "insufficient data left in message");
  const std::string extra = "\0\0\0\0\0"s;
  EXPECT_EQ(parse_parse(as_bytes(extra), extra.size()).error().message, "invalid message format");
  const std::string unended = "name"s;
  EXPECT_EQ(parse_parse(as_bytes(unended), unended.size()).error().sqlstate, base::kProtocolViolation);
}

TEST(FrontendParse, ReadsTheNamesOfABindAsSoonAsTheyAreThere) {
  const std::string body = "portal\0stmt\0\0\0\0\0\0\0"s;
  const std::size_t names = "portal\0stmt\0"s.size();
  for (std::size_t bytes = 0; bytes <= body.size(); ++bytes) {
    const auto bind = parse_bind_prefix(as_bytes(body).first(bytes), body.size());
    ASSERT_TRUE(bind);
    ASSERT_EQ(bind->has_value(), bytes >= names) << bytes;
    if (!*bind) continue;
    EXPECT_EQ((*bind)->portal, "portal");
    EXPECT_EQ((*bind)->statement, "stmt");
    EXPECT_EQ((*bind)->rest_offset, names);
  }
}

TEST(FrontendParse, RefusesNamesThatNeverEnd) {
  for (const std::string& body : {""s, "portal"s, "portal\0stmt"s}) {
    const auto bind = parse_bind_prefix(as_bytes(body), body.size());
    ASSERT_FALSE(bind);
    EXPECT_EQ(bind.error().message, "invalid string in message");
  }
  EXPECT_FALSE(parse_parse_prefix(as_bytes("x"), 1));
  EXPECT_TRUE(parse_parse_prefix(as_bytes("x"), 2));
}

TEST(FrontendParse, ReadsDescribeCloseAndExecute) {
  const auto statement = parse_describe(as_bytes("Ss1\0"sv));
  ASSERT_TRUE(statement);
  EXPECT_EQ(statement->kind, kStatement);
  EXPECT_EQ(statement->name, "s1");
  EXPECT_EQ(parse_close(as_bytes("P\0"sv))->kind, kPortal);
  EXPECT_EQ(parse_describe(as_bytes("Xs1\0"sv)).error().message, "invalid DESCRIBE message subtype 88");
  EXPECT_EQ(parse_close(as_bytes("Xs1\0"sv)).error().message, "invalid CLOSE message subtype 88");
  EXPECT_FALSE(parse_close({}));
  EXPECT_FALSE(parse_describe(as_bytes("Ss1")));
  const auto run = parse_execute(as_bytes("p\0\0\0\0\x64"sv));
  ASSERT_TRUE(run);
  EXPECT_EQ(run->portal, "p");
  EXPECT_EQ(run->max_rows, 100U);
  EXPECT_FALSE(parse_execute(as_bytes("p\0\0\0\0"sv)));
}

TEST(FrontendParse, ReadsPasswordsAndRefusesEmptyOnes) {
  EXPECT_EQ(*parse_password(as_bytes("pw\0"sv)), "pw");
  EXPECT_EQ(parse_password(as_bytes("\0"sv)).error().sqlstate.view(), "28P01");
  EXPECT_EQ(parse_password(as_bytes("\0"sv)).error().message, "empty password returned by client");
  for (const std::string& body : {""s, "pw"s, "p\0w\0"s, "pw\0x"s}) {
    EXPECT_EQ(parse_password(as_bytes(body)).error().message, "invalid password packet size");
  }
}

TEST(FrontendParse, ReadsSaslResponses) {
  const auto first = parse_sasl_initial_response(as_bytes("SCRAM-SHA-256\0\0\0\0\3n,,"sv));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->mechanism, "SCRAM-SHA-256");
  EXPECT_EQ(first->data, "n,,");
  const auto none = parse_sasl_initial_response(as_bytes("M\0\xff\xff\xff\xff"sv));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->data, std::nullopt);
  for (const std::string& body : {""s, "M"s, "M\0"s, "M\0\0\0\0\4n,,"s, "M\0\0\0\0\2n,,"s,
                                  "M\0\xff\xff\xff\xffx"s, "M\0\xff\xff\xff\xfe"s}) {
    EXPECT_FALSE(parse_sasl_initial_response(as_bytes(body)));
  }
  EXPECT_EQ(parse_sasl_response(as_bytes("c=biws")), "c=biws");
  EXPECT_EQ(*parse_copy_fail(as_bytes("no\0"sv)), "no");
}

}  // namespace
}  // namespace penstock::pgwire
