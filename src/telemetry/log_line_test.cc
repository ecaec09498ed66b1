#include "telemetry/log_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace penstock::telemetry::log {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

const auto kTime =
    std::chrono::sys_days{std::chrono::year{2026} / 5 / 4} + std::chrono::milliseconds{10'921'007};

std::string text_of(Fields fields, std::string_view message = {}) {
  return format_line(Format::kText, {kTime, Level::kInfo, "client.login", fields, message});
}
std::string json_of(Fields fields, std::string_view message = {}) {
  return format_line(Format::kJson, {kTime, Level::kError, "client.login", fields, message});
}

TEST(LogLine, PutsTheEventFirstAndTheMessageLast) {
  EXPECT_EQ(text_of({{"client", 17}, {"tenant", "acme"}, {"tls", true}}, "logged in"),
            "2026-05-04T03:02:01.007Z info client.login client=17 tenant=acme tls=true msg=\"logged in\"");
  EXPECT_EQ(json_of({{"client", 17u}, {"ms", 1.5}, {"user", std::string("a b")}}, "logged in"),
            R"({"ts":"2026-05-04T03:02:01.007Z","level":"error","event":"client.login","client":17,"ms":1.5,)"
            R"("user":"a b","msg":"logged in"})");
}

TEST(LogLine, QuotesTextsThatWouldNotBeOneWord) {
  EXPECT_THAT(text_of({{"user", "Jane Doe"}}), EndsWith(R"( user="Jane Doe")"));
  EXPECT_THAT(text_of({{"user", ""}}), EndsWith(R"( user="")"));
  EXPECT_THAT(text_of({{"user", "a=b"}}), EndsWith(R"( user="a=b")"));
  EXPECT_THAT(text_of({{"user", "a\"b\\"}}), EndsWith(R"( user="a\"b\\")"));
  EXPECT_THAT(text_of({{"addr", "[::1]:6432"}}), EndsWith(" addr=[::1]:6432"));
}

TEST(LogLine, StaysOneLineWhateverAPeerCallsItself) {
  const std::string evil = "x\n2026-01-01 info fake\r\x1b[31m\x7f";
  for (const std::string& line : {text_of({{"user", evil}}, evil), json_of({{"user", evil}}, evil)}) {
    EXPECT_EQ(line.find_first_of("\n\r\x1b\x7f"), std::string::npos) << line;
    EXPECT_THAT(line, HasSubstr(R"(x\n2026)"));
    EXPECT_THAT(line, HasSubstr(R"(\u000d\u001b[31m\u007f)"));
  }
}

TEST(LogLine, EscapesControlsBeyondAsciiAndLineSeparators) {
  EXPECT_THAT(json_of({{"user",
                        "a\xc2\x9b"
                        "31m"}}),
              HasSubstr(R"("a\u009b31m")"));
  EXPECT_THAT(json_of({{"user",
                        "a\xe2\x80\xa8"
                        "b\xe2\x80\xa9"}}),
              HasSubstr(R"("a\u2028b\u2029")"));
  EXPECT_THAT(json_of({{"user", "Zoë"}}), HasSubstr("\"Zoë\""));
}

TEST(LogLine, ReplacesBytesThatAreNoUtf8) {
  EXPECT_THAT(json_of({{"user",
                        "a\xff"
                        "b"}}),
              HasSubstr(R"("a\ufffdb")"));
  EXPECT_THAT(json_of({{"user", "\xe2\x80"}}), HasSubstr(R"("\ufffd\ufffd")"));
}

TEST(LogLine, CutsLongTextsBetweenCharacters) {
  const std::string line = json_of({{"user", std::string(10'000, 'a')}}, std::string(10'000, 'b'));
  EXPECT_LT(line.size(), kFieldBytesMax + kMessageBytesMax + 150);
  EXPECT_THAT(line, HasSubstr("a…\""));
  std::string umlauts = "x";
  for (int i = 0; i < 1000; ++i) umlauts += "ö";
  EXPECT_THAT(json_of({{"user", umlauts}}), HasSubstr("ö…\""));
}

TEST(LogLine, HasNoNumbersThatJsonDoesNotKnow) {
  EXPECT_THAT(json_of({{"x", std::nan("")}, {"y", HUGE_VAL}}), HasSubstr(R"("x":null,"y":null)"));
}

TEST(LogLine, KeepsTheWholeRangeOfNumbers) {
  EXPECT_THAT(text_of({{"a", INT64_MIN}, {"b", UINT64_MAX}}),
              EndsWith("a=-9223372036854775808 b=18446744073709551615"));
}

}  // namespace
}  // namespace penstock::telemetry::log
