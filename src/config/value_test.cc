#include "config/value.h"

#include <gtest/gtest.h>

namespace penstock::config {
namespace {

TEST(Value, ReadsDurationsWithTheirUnit) {
  EXPECT_EQ(parse_duration("500ms"), 500);
  EXPECT_EQ(parse_duration("5s"), 5'000);
  EXPECT_EQ(parse_duration("2min"), 120'000);
  EXPECT_EQ(parse_duration("1h"), 3'600'000);
  EXPECT_EQ(parse_duration("7d"), 604'800'000);
  EXPECT_EQ(parse_duration("3 s"), 3'000);
  EXPECT_EQ(parse_duration("0"), 0);
}

TEST(Value, RefusesDurationsThatCouldMeanTwoThings) {
  for (const char* text : {"5", "5m", "1.5h", "-1s", "s", "", "5S", "1h30min", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_FALSE(parse_duration("9223372036854775807h")) << "overflow";
}

TEST(Value, ReadsSizesInPowersOf1024) {
  EXPECT_EQ(parse_bytes("10000B"), 10'000);
  EXPECT_EQ(parse_bytes("64kB"), 65'536);
  EXPECT_EQ(parse_bytes("1GB"), 1'073'741'824);
  EXPECT_FALSE(parse_bytes("64KiB"));
  EXPECT_EQ(parse_value({.kind = Kind::kBytes}, "10000"), Value(std::int64_t{10'000}));
}

TEST(Value, PrintsWithTheLargestUnitThatFits) {
  EXPECT_EQ(to_toml({.kind = Kind::kDuration}, std::int64_t{90'000}), "\"90s\"");
  EXPECT_EQ(to_toml({.kind = Kind::kDuration}, std::int64_t{120'000}), "\"2min\"");
  EXPECT_EQ(to_toml({.kind = Kind::kDuration}, std::int64_t{0}), "0");
  EXPECT_EQ(to_toml({.kind = Kind::kBytes}, std::int64_t{10'000}), "\"10000B\"");
  EXPECT_EQ(to_toml({.kind = Kind::kOctal}, std::int64_t{0770}), "\"0770\"");
  EXPECT_EQ(to_toml({.kind = Kind::kList}, std::vector<std::string>{"a", "b"}), R"(["a", "b"])");
}

TEST(Value, EscapesTextSoThatItStaysOneLine) {
  EXPECT_EQ(quote_toml("a\"b\\c\nd\x01"), R"("a\"b\\c\nd\u0001")");
  EXPECT_EQ(quote_toml("\xff"), "\"?\"");
}

TEST(Value, SaysWhatIsAllowedWhenANumberIsOutOfRange) {
  const Allowed allowed{.kind = Kind::kInteger, .min = 1, .max = 10, .unit = "servers"};
  const auto value = parse_value(allowed, "11");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message, "11 is out of range");
  EXPECT_EQ(value.error().detail, "Allowed: a whole number from 1 to 10 (servers).");
}

TEST(Value, RefusesControlCharactersInTexts) {
  EXPECT_FALSE(parse_value({.kind = Kind::kText}, std::string_view("a\0b", 3)));
  EXPECT_FALSE(parse_value({.kind = Kind::kText}, "\xc3"));
  EXPECT_TRUE(parse_value({.kind = Kind::kText}, "SELECT 1;\n\tSELECT 2"));
}

TEST(Value, SplitsListsAtCommasAndTrims) {
  EXPECT_EQ(parse_value({.kind = Kind::kList}, " a, b ,,c"), Value(std::vector<std::string>{"a", "b", "c"}));
}

}  // namespace
}  // namespace penstock::config
