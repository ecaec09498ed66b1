#include "session/catalog_reread.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "io/sim_loop.h"
#include "io/sim_world.h"
#include "io/task.h"

namespace penstock::session {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class CatalogRereadTest : public ::testing::Test {
 public:
  io::Task<> log_in() {
    co_await reread.once_more();
    ended.push_back(world.now());
  }
  void begin(int count) {
    loop->post([this, count] {
      for (int i = 0; i < count; ++i) {
        tasks.push_back(std::make_unique<io::Task<>>(log_in()));
        tasks.back()->start([] {});
      }
    });
  }
  void let(base::Duration time) { world.run_until(world.now() + time); }

  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> loop = world.make_loop("worker");
  int asked = 0;
  bool silent = false;
  std::move_only_function<void()> late;
  CatalogReread reread{*loop, [this](std::move_only_function<void()> done) {
                         ++asked;
                         if (silent) {
                           late = std::move(done);
                         } else {
                           loop->post(std::move(done));
                         }
                       }};
  std::vector<std::unique_ptr<io::Task<>>> tasks;
  std::vector<base::TimePoint> ended;
};

TEST_F(CatalogRereadTest, AStormOfRefusalsAsksOnce) {
  begin(1000);
  let(milliseconds(150));
  EXPECT_EQ(ended.size(), 1000u);
  EXPECT_EQ(asked, 1);
}

TEST_F(CatalogRereadTest, AsksAtMostTenTimesASecond) {
  for (int i = 0; i < 1000; ++i) {
    begin(1);
    let(milliseconds(1));
  }
  let(milliseconds(200));
  EXPECT_EQ(ended.size(), 1000u);
  EXPECT_LE(asked, 11);
}

TEST_F(CatalogRereadTest, RefusalsComeAtFixedMoments) {
  for (const int pause : {3, 250, 71, 133}) {
    begin(1);
    let(milliseconds(pause));
  }
  let(milliseconds(200));
  ASSERT_EQ(ended.size(), 4u);
  for (const base::TimePoint moment : ended) {
    EXPECT_LT(moment.time_since_epoch() % CatalogReread::kEvery, milliseconds(10));
  }
}

TEST_F(CatalogRereadTest, NobodyWaitsForeverForAnAnswer) {
  silent = true;
  begin(1);
  let(seconds(1));
  EXPECT_TRUE(ended.empty());
  let(seconds(2));
  EXPECT_EQ(ended.size(), 1u);
  silent = false;
  begin(1);
  let(milliseconds(300));
  EXPECT_EQ(ended.size(), 2u) << "and the next ones are asked for again";
  loop->post([this] { late(); });
  let(milliseconds(10));
  EXPECT_EQ(ended.size(), 2u);
}

TEST_F(CatalogRereadTest, WhoComesWhileItIsReadWaitsForTheNextReading) {
  silent = true;
  begin(1);
  let(milliseconds(150));
  begin(1);
  let(milliseconds(10));
  silent = false;
  loop->post([this] { late(); });
  let(milliseconds(10));
  EXPECT_EQ(ended.size(), 1u);
  let(milliseconds(200));
  EXPECT_EQ(ended.size(), 2u);
  EXPECT_EQ(asked, 2);
}

TEST_F(CatalogRereadTest, ALogInThatDiesLeavesTheQueue) {
  begin(2);
  let(milliseconds(5));
  loop->post([this] { tasks.erase(tasks.begin()); });
  let(milliseconds(300));
  EXPECT_EQ(ended.size(), 1u);
}

}  // namespace
}  // namespace penstock::session
