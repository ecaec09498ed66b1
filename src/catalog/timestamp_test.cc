#include "catalog/timestamp.h"

#include <gtest/gtest.h>

namespace penstock::catalog {
namespace {

TEST(Timestamp, IsWrittenAndReadBack) {
  const auto time = parse_timestamp("2026-11-22T10:53:43.123Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(to_text(*time), "2026-11-22T10:53:43.123Z");
  EXPECT_EQ(to_text(model::WallTime{}), "1970-01-01T00:00:00.000Z");
  const model::WallTime now = wall_clock_now();
  EXPECT_EQ(parse_timestamp(to_text(now)), now);
}

TEST(Timestamp, IsReadWithOffsetAndWithoutFraction) {
  const auto noon = parse_timestamp("2026-03-01T12:00:00Z");
  ASSERT_TRUE(noon);
  EXPECT_EQ(parse_timestamp("2026-03-01T14:00:00+02:00"), noon);
  EXPECT_EQ(parse_timestamp("2026-03-01T06:30:00.000000-05:30"), noon);
  EXPECT_EQ(parse_timestamp("2026-03-01 12:00:00z"), noon);
  EXPECT_EQ(parse_timestamp("2026-03-01 12:00:00+00"), noon) << "as Postgres writes it";
}

TEST(Timestamp, RefusesAnythingElse) {
  for (const char* text :
       {"", "2026", "2026-03-01", "2026-03-01T12:00:00", "2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z",
        "2026-03-01T24:00:00Z", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00Z ", "2026-03-01T12:00:00+2",
        "2026-03-01T12:00:00+02:0", "-026-03-01T12:00:00Z", "2026-03-01T12:00:00+24:00"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

}  // namespace
}  // namespace penstock::catalog
