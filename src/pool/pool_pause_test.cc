// A pool that is paused: servers close as they become free, and clients wait until it goes on.
#include <gmock/gmock.h>

#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;
using ::testing::ElementsAre;

class PoolPauseTest : public PoolTest {
 protected:
  void pause(unsigned worker = 0) {
    run_on(workers[worker], [&] { workers[worker].pool->pause(); });
  }
  void resume(unsigned worker = 0) {
    run_on(workers[worker], [&] { workers[worker].pool->resume(); });
  }
  int open() { return ledger.scope(upstreams_of_pool(pool().key()))->open.load(); }
};

TEST_F(PoolPauseTest, IdleServersCloseAndClientsWait) {
  config.min_size = 1;
  make_pool();
  give_back(serve("one"));
  pause();
  let(seconds(5));
  EXPECT_EQ(open(), 0) << "not even the minimum stays";
  Customer& two = come("two");
  let(seconds(30));
  EXPECT_FALSE(two.served());
  EXPECT_FALSE(two.refused.has_value()) << "how long a client waits is its own affair";
  EXPECT_EQ(server->peers.size(), 1U) << "nobody connects meanwhile";
  resume();
  let(milliseconds(500));
  EXPECT_TRUE(two.served());
}

TEST_F(PoolPauseTest, AServerInUseClosesWhenItComesBack) {
  make_pool();
  Customer& busy = serve("busy");
  come("first");
  pause();
  come("second");
  let(seconds(1));
  EXPECT_EQ(open(), 1);
  EXPECT_TRUE(busy.served()) << "nothing is taken from anybody";
  give_back(busy);
  let(milliseconds(100));
  EXPECT_EQ(open(), 0);
  EXPECT_THAT(order, ElementsAre("busy"));
}

TEST_F(PoolPauseTest, ThoseWhoWaitedAreServedInOrder) {
  config.size = 1;
  make_pool();
  pause();
  for (const char* name : {"a", "b", "c"}) come(name);
  let(seconds(1));
  EXPECT_TRUE(order.empty());
  resume();
  let(milliseconds(500));
  EXPECT_THAT(order, ElementsAre("a"));
  give_back(customers[0]);
  EXPECT_THAT(order, ElementsAre("a", "b"));
}

TEST_F(PoolPauseTest, ConnectionsOnTheirWayAreGivenUp) {
  make_pool();
  run([&] {
    pool().check_out(customer("early"), nullptr);
    pool().pause();
  });
  EXPECT_EQ(open(), 0);
  let(seconds(1));
  EXPECT_EQ(pool().counts().dialling, 0U);
  EXPECT_TRUE(order.empty());
}

TEST_F(PoolPauseTest, ServersThatAreCleanedUpCloseAfterwards) {
  make_pool();
  Customer& one = serve("one");
  ask_and_hear(one, "BEGIN");
  give_back(one);  // in a transaction: the janitor has it
  pause();
  let(seconds(15));
  EXPECT_EQ(open(), 0);
}

TEST_F(PoolPauseTest, NoShardTakesFromAnotherMeanwhile) {
  make_pool();
  make_pool();
  Customer& busy = serve("busy");
  pause(0);
  pause(1);
  come("elsewhere", nullptr, 1);
  give_back(busy);
  let(seconds(1));
  EXPECT_EQ(open(), 0);
  EXPECT_THAT(order, ElementsAre("busy"));
  resume(0);
  resume(1);
  let(seconds(1));
  EXPECT_THAT(order, ElementsAre("busy", "elsewhere"));
}

TEST_F(PoolPauseTest, PausingTwiceIsPausingOnce) {
  make_pool();
  give_back(serve("one"));
  pause();
  pause();
  resume();
  serve("two");
  resume();
  EXPECT_EQ(open(), 1);
}

}  // namespace
}  // namespace penstock::pool
