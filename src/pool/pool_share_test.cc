// Users of one tenant, which may have so many connections in all: what each of them gets.
#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;

class PoolShareTest : public PoolTest {
 public:
  PoolShareTest() {
    config.size = 100;
    config.max_upstreams_of_tenant = 4;
  }
  // Pools are numbered from 0 in this order.
  void make_pool_of(const std::string& user, int guaranteed = 0) {
    config.user = user;
    config.guaranteed_of_user = guaranteed;
    make_pool("acme/shop/" + user);
  }
  // So many clients of a pool, each of which comes again as soon as it has had its 10 ms.
  struct Crowd {
    unsigned worker;
    std::vector<Customer*> clients;
    std::size_t served = 0;
    base::Duration longest_wait{};
  };
  Crowd crowd(unsigned worker, int count) {
    Crowd all{.worker = worker};
    for (int i = 0; i < count; ++i) all.clients.push_back(&come("client", nullptr, worker));
    return all;
  }
  void work(std::vector<Crowd*> crowds, base::Duration time) {
    for (const base::TimePoint until = world.now() + time; world.now() < until;) {
      let(milliseconds(10));
      for (Crowd* each : crowds) {
        run_on(workers[each->worker], [&] {
          std::vector<Customer*> done;
          for (Customer* one : each->clients) {
            if (one->served()) done.push_back(one);
          }
          for (Customer* one : done) {
            ++each->served;
            each->longest_wait = std::max(each->longest_wait, world.now() - one->waiting_since);
            workers[each->worker].pool->release(*std::exchange(one->upstream, nullptr), false);
            workers[each->worker].pool->check_out(*one, nullptr);
          }
        });
      }
    }
  }
  void end(std::vector<Crowd*> crowds) {
    for (Crowd* each : crowds) {
      run_on(workers[each->worker], [&] {
        for (Customer* one : each->clients) {
          one->stop_waiting();
          if (one->served())
            workers[each->worker].pool->release(*std::exchange(one->upstream, nullptr), false);
        }
      });
    }
  }
};

TEST_F(PoolShareTest, AGuaranteedPlaceIsThereAtOnce) {
  config.guaranteed_of_tenant = 1;
  make_pool_of("jobs");
  make_pool_of("web", 1);
  for (int i = 0; i < 6; ++i) come("job");
  let(seconds(1));
  EXPECT_EQ(server->open_peers(), 3U);
  Customer& web = come("web", nullptr, 1);
  let(milliseconds(10));
  EXPECT_TRUE(web.served());
  EXPECT_EQ(server->open_peers(), 4U);
  Customer& more = come("more", nullptr, 1);
  let(seconds(1));
  EXPECT_FALSE(more.served()) << "all are in use";
}

TEST_F(PoolShareTest, ABusyUserGivesUpWhatIsMoreThanItsShare) {
  make_pool_of("jobs");
  make_pool_of("web");
  Crowd jobs = crowd(0, 200);
  work({&jobs}, seconds(1));
  EXPECT_EQ(workers[0].pool->counts().lent, 4U);
  Crowd web = crowd(1, 3);
  work({&jobs, &web}, seconds(1));
  EXPECT_EQ(workers[0].pool->counts().lent, 2U);
  EXPECT_EQ(workers[1].pool->counts().lent, 2U);
  const std::size_t opened = server->peers.size();
  web.longest_wait = {};
  work({&jobs, &web}, seconds(2));
  EXPECT_LT(web.longest_wait, milliseconds(50)) << "however long the other queue is";
  EXPECT_EQ(server->peers.size(), opened) << "and no connection changes hands any more";
  end({&jobs, &web});
}

TEST_F(PoolShareTest, AQuietUserWaitsAShortTimeOnly) {
  make_pool_of("jobs");
  make_pool_of("web");
  Crowd jobs = crowd(0, 200);
  work({&jobs}, seconds(1));
  for (int i = 0; i < 5; ++i) {
    Crowd web = crowd(1, 1);
    work({&jobs, &web}, milliseconds(100));
    EXPECT_GT(web.served, 1U);
    EXPECT_LT(web.longest_wait, milliseconds(60));
    end({&web});
    work({&jobs}, milliseconds(300));
  }
  end({&jobs});
}

TEST_F(PoolShareTest, WhatNobodyElseWantsIsUsed) {
  make_pool_of("jobs");
  make_pool_of("web");
  Crowd web = crowd(1, 2);
  work({&web}, milliseconds(100));
  end({&web});
  let(milliseconds(1500));  // its connections have been idle for long
  Crowd jobs = crowd(0, 10);
  work({&jobs}, seconds(1));
  EXPECT_EQ(workers[0].pool->counts().lent, 4U);
  EXPECT_EQ(workers[1].pool->counts().idle, 0U);
  end({&jobs});
}

TEST_F(PoolShareTest, OneUserInTwoDatabasesIsServedInOrderOfArrival) {
  make_pool_of("jobs");
  config.database = "archive";
  make_pool("acme/archive/jobs");
  for (int i = 0; i < 4; ++i) serve("job");
  Customer& archive = come("archive", nullptr, 1);
  let(milliseconds(100));
  Customer& late = come("late");
  give_back(customers.front());
  let(seconds(1));
  EXPECT_TRUE(archive.served());
  EXPECT_FALSE(late.served());
}

TEST_F(PoolShareTest, WorkersOfOnePoolCloseNoConnectionsForEachOther) {
  make_pool_of("jobs");
  make_pool_of("jobs");
  Crowd here = crowd(0, 10);
  Crowd there = crowd(1, 10);
  work({&here, &there}, seconds(3));
  EXPECT_EQ(server->peers.size(), 4U);
  EXPECT_GT(here.served, 100U);
  EXPECT_GT(there.served, 100U);
  end({&here, &there});
}

TEST_F(PoolShareTest, AHigherLimitIsUsedAtOnce) {
  config.max_upstreams_of_tenant = 1;
  make_pool_of("jobs");
  serve("one");
  Customer& two = come("two");
  let(milliseconds(100));
  EXPECT_FALSE(two.served());
  change([](PoolConfig& each) { each.max_upstreams_of_tenant = 2; });
  let(milliseconds(50));
  EXPECT_TRUE(two.served());
}

TEST_F(PoolShareTest, ALowerLimitClosesWhatIsBeyondButNothingThatIsGuaranteed) {
  config.guaranteed_of_tenant = 2;
  make_pool_of("jobs");
  make_pool_of("web", 2);
  give_back(serve("job"));
  give_back(serve("web", nullptr, 1), false, 1);
  Customer& first = serve("first");
  Customer& second = serve("second");
  Customer& web = serve("web again", nullptr, 1);
  Customer& more = serve("more", nullptr, 1);
  change([](PoolConfig& each) { each.max_upstreams_of_tenant = 2; });
  let(seconds(2));
  EXPECT_EQ(server->open_peers(), 4U) << "all are in use";
  give_back(web, false, 1);
  give_back(more, false, 1);
  give_back(first);
  give_back(second);
  let(seconds(2));
  EXPECT_EQ(server->open_peers(), 2U);
  EXPECT_EQ(workers[1].pool->counts().idle, 2U);
}

// --- a second look for room, after joining the line ---

class PoolSecondLookTest : public PoolTest {
 public:
  static constexpr const char* kKey = "acme/shop/alice";
  // Something changes between the two looks.
  void come_and_change(std::function<void()> what) {
    config.max_upstreams_of_database = 1;
    ++database->open;
    Worker& worker = workers.emplace_back(world, 0U);
    worker.pool = std::make_unique<Pool>(
        PoolHome{.worker = 0,
                 .tools = {.loop = *worker.loop, .resolver = resolver, .scram_keys = worker.scram_keys},
                 .settings = worker.settings,
                 .ledger = ledger,
                 .make_room = [&](const ScopePtr&) { std::exchange(what, [] {})(); },
                 .counters = &counters},
        kKey, make_config(), directory.hub(kKey, "acme/shop"));
    Customer& one = customer("one");
    one.settings = &worker.settings;
    run([&] {
      pool().check_out(one, nullptr);
      is_line_empty = database->line.lets(stranger, world.now());
    });
  }
  ScopePtr database = ledger.scope("upstreams of database acme/shop");
  ScopePtr own = ledger.scope(upstreams_of_pool(kKey));
  RoomLine::Ticket stranger{this, [] {}};
  bool is_line_empty = false;
};

TEST_F(PoolSecondLookTest, WhoFindsAPlaceThenLeavesTheLine) {
  come_and_change([&] { --database->open; });
  EXPECT_TRUE(is_line_empty);
  let(milliseconds(100));
  EXPECT_TRUE(customers.front().served());
}

TEST_F(PoolSecondLookTest, WhoFindsItsOwnPoolFullThenLeavesTheLineAndLooksAgainSoon) {
  come_and_change([&] {
    --database->open;
    own->open += config.size;
  });
  EXPECT_TRUE(is_line_empty);
  own->open -= config.size;
  let(milliseconds(100));
  EXPECT_TRUE(customers.front().served());
}

}  // namespace
}  // namespace penstock::pool
