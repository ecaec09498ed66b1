#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/loop.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

TEST(Loop, RunsWhatIsForLaterInItsTime) {
  Loop loop;
  std::vector<int> order;
  loop.after(60ms, [&] { order.push_back(3); });
  loop.after(20ms, [&] { order.push_back(2); });
  loop.post([&] { order.push_back(1); });
  loop.run_for(5ms);
  EXPECT_THAT(order, ElementsAre(1));
  loop.run_for(100ms);
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(Loop, DropsWhatIsForLaterWhenItDies) {
  auto kept = std::make_shared<int>(7);
  bool ran = false;
  {
    Loop loop;
    loop.after(1h, [&ran, kept] { ran = true; });
    loop.run_for(1ms);
    EXPECT_EQ(kept.use_count(), 2);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(kept.use_count(), 1);
}

}  // namespace
}  // namespace penstock::http
