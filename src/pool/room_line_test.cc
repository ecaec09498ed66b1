#include "pool/room_line.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <thread>
#include <vector>

namespace penstock::pool {
namespace {

using std::chrono::milliseconds;

class RoomLineTest : public testing::Test {
 public:
  static base::TimePoint at(int ms) { return base::TimePoint(milliseconds(1000 + ms)); }
  // Each of a pool of its own, and says when it is called.
  RoomLine::Ticket& ticket() {
    const int number = static_cast<int>(tickets.size());
    tickets.push_back(std::make_unique<RoomLine::Ticket>(&pools.emplace_back(),
                                                         [this, number] { called.push_back(number); }));
    return *tickets.back();
  }

  RoomLine line;
  std::deque<int> pools;
  std::vector<int> called;
  std::vector<std::unique_ptr<RoomLine::Ticket>> tickets;
};

TEST_F(RoomLineTest, LetsEverybodyWhileItIsEmpty) {
  EXPECT_TRUE(line.lets(ticket(), at(0)));
  EXPECT_TRUE(line.lets(ticket(), std::nullopt));
  line.call_next();
  EXPECT_FALSE(line.claims(this, std::nullopt));
}

TEST_F(RoomLineTest, CallsInOrderOfArrivalAndEachOnce) {
  ticket().stand(line, at(20));
  ticket().stand(line, at(10));
  ticket().stand(line, at(30));
  for (int i = 0; i < 5; ++i) line.call_next();
  EXPECT_EQ(called, (std::vector{1, 0, 2}));
}

TEST_F(RoomLineTest, LetsTheFirstThoseWhoWereCalledAndWhoCameBeforeThem) {
  RoomLine::Ticket& first = ticket();
  RoomLine::Ticket& second = ticket();
  RoomLine::Ticket& third = ticket();
  RoomLine::Ticket& outside = ticket();
  first.stand(line, at(10));
  second.stand(line, at(20));
  third.stand(line, at(30));
  EXPECT_TRUE(line.lets(first, at(10)));
  EXPECT_FALSE(line.lets(second, at(20)));
  EXPECT_FALSE(line.lets(outside, at(15)));
  EXPECT_FALSE(line.lets(outside, std::nullopt)) << "whoever has no client waiting comes last";
  EXPECT_TRUE(line.lets(outside, at(5)));
  line.call_next();
  line.call_next();
  EXPECT_TRUE(line.lets(second, at(20)));
  EXPECT_FALSE(line.lets(third, at(30)));
}

TEST_F(RoomLineTest, WhoWasCalledInVainCallsTheNext) {
  RoomLine::Ticket& first = ticket();
  ticket().stand(line, at(20));
  first.stand(line, at(10));
  line.call_next();
  first.leave();
  EXPECT_EQ(called, (std::vector{0, 1}));
}

TEST_F(RoomLineTest, WhoWasCalledAndTookItsPlaceCallsNobody) {
  RoomLine::Ticket& first = ticket();
  ticket().stand(line, at(20));
  first.stand(line, at(10));
  line.call_next();
  first.take_place();
  first.leave();
  EXPECT_EQ(called, std::vector{0});
}

TEST_F(RoomLineTest, WhoDiesLeaves) {
  ticket().stand(line, at(10));
  ticket().stand(line, at(20));
  tickets.front().reset();
  line.call_next();
  EXPECT_EQ(called, std::vector{1});
}

TEST_F(RoomLineTest, StandingInAnotherLineLeavesThisOne) {
  RoomLine other;
  RoomLine::Ticket& one = ticket();
  EXPECT_TRUE(one.stand(line, at(10)));
  EXPECT_FALSE(one.stand(line, at(10))) << "nothing can have been missed";
  EXPECT_TRUE(one.stand(other, at(10)));
  line.call_next();
  EXPECT_TRUE(called.empty());
  other.call_next();
  EXPECT_EQ(called, std::vector{0});
  EXPECT_TRUE(one.stand(other, at(10))) << "room may have been called out meanwhile";
  one.leave();
}

TEST_F(RoomLineTest, OneClaimIsForOneTicketOfAnotherPool) {
  ticket().stand(line, at(10));
  ticket().stand(line, at(20));
  EXPECT_FALSE(line.claims(&pools[0], at(30))) << "the second has not waited long enough for that";
  EXPECT_TRUE(line.claims(&pools[1], at(200)));
  EXPECT_FALSE(line.claims(&pools[1], at(200))) << "its own";
  EXPECT_TRUE(line.claims(this, std::nullopt));
  EXPECT_FALSE(line.claims(this, std::nullopt));
}

TEST_F(RoomLineTest, WhoHasWaitedLittleLongerClaimsNothing) {
  ticket().stand(line, at(10));
  EXPECT_FALSE(line.claims(this, at(5)));
  EXPECT_FALSE(line.claims(this, at(40)));
  EXPECT_TRUE(line.claims(this, at(61)));
}

TEST_F(RoomLineTest, NoRoomIsLostBetweenThreads) {
  // So many places, and twice as many threads each of which wants one again and again.
  constexpr int kPlaces = 3;
  constexpr int kThreads = 6;
  constexpr int kTurns = 2000;
  std::atomic<int> open{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::atomic<int> calls{0};
      int heard = 0;
      const int pool = i;
      RoomLine::Ticket mine(&pool, [&calls] {
        ++calls;
        calls.notify_one();
      });
      const auto take = [&] {
        int now = open.load();
        while (now < kPlaces && !open.compare_exchange_weak(now, now + 1)) {
        }
        return now < kPlaces;
      };
      for (int turn = 0; turn < kTurns; ++turn) {
        const base::TimePoint since = std::chrono::steady_clock::now();
        while (!(line.lets(mine, since) && take())) {
          if (mine.stand(line, since) && line.lets(mine, since) && take()) break;
          calls.wait(heard);  // for ever, if a call gets lost
          heard = calls;
        }
        mine.take_place();
        mine.leave();
        if (open.load() < kPlaces) line.call_next();
        open.fetch_sub(1);
        line.call_next();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(open, 0);
}

}  // namespace
}  // namespace penstock::pool
