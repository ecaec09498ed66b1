#include "catalog/duration_text.h"

#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

using std::chrono::milliseconds;

TEST(DurationText, IsReadWithItsUnit) {
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("30s"), milliseconds(30'000));
  EXPECT_EQ(parse_duration("5min"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("2h"), milliseconds(7'200'000));
  EXPECT_EQ(parse_duration("365d"), kDurationMax);
  EXPECT_EQ(parse_duration("0"), milliseconds(0));
  EXPECT_EQ(parse_duration("0s"), milliseconds(0));
}

TEST(DurationText, IsRefusedWithoutAUnitOrOutOfRange) {
  for (const char* text : {"", "30", "s", "-1s", "1.5s", "366d", "99999999999999999999s", "1m"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(DurationText, IsWrittenInTheLargestUnitThatFits) {
  EXPECT_EQ(to_text(milliseconds(0)), "0");
  EXPECT_EQ(to_text(milliseconds(1500)), "1500ms");
  EXPECT_EQ(to_text(milliseconds(90'000)), "90s");
  EXPECT_EQ(to_text(milliseconds(60'000)), "1min");
  EXPECT_EQ(to_text(kDurationMax), "365d");
}

}  // namespace
}  // namespace penstock::catalog
