#include "session/guc_time.h"

#include <gtest/gtest.h>

namespace penstock::session {
namespace {

using std::chrono::milliseconds;

TEST(GucTime, TakesNumbersAndUnitsAsPostgresDoes) {
  const std::pair<const char*, int> cases[] = {{"0", 0},
                                               {"250", 250},
                                               {"+5", 5},
                                               {" 50ms ", 50},
                                               {"50 ms", 50},
                                               {"2s", 2000},
                                               {"3min", 180'000},
                                               {"1h", 3'600'000},
                                               {"2 d", 172'800'000},
                                               {"1500us", 2},
                                               {"400us", 0},
                                               {"1.5s", 1500},
                                               {".5s", 500},
                                               {"1e3", 1000},
                                               {"0x10", 16},
                                               {"010", 8},
                                               {"-0", 0},
                                               {"0.4", 0},
                                               {"2147483647", 2'147'483'647}};
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(guc_milliseconds(text), milliseconds(expected)) << text;
}

TEST(GucTime, TakesNothingThatPostgresRefuses) {
  for (const char* text :
       {"", " ", "soon", "ms", "-1", "-1s", "5 weeks", "5S", "5 MS", "5msx", "5 m s", "nan", "inf",
        "2147483648", "25d", "99999999999999999999", "1e400", "'5s'", "default"}) {
    EXPECT_EQ(guc_milliseconds(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace penstock::session
