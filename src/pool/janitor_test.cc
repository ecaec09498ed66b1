// What becomes of an upstream that a client left in the middle of something.
#include "pool/janitor.h"

#include <gmock/gmock.h>

#include "pgwire/frontend.h"
#include "pool/pool_sim_test.h"

namespace penstock::pool {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using Kind = upstream::Reply::Kind;

class JanitorTest : public PoolTest {
 public:
  JanitorTest() {
    config.size = 1;
    config.reset_query = "DISCARD ALL";
    config.cleanup_timeout = seconds(5);
    make_pool();
  }
  // Sends messages as a session would, and notes what answers are to come.
  void send(Customer& one, const std::string& bytes, std::initializer_list<Kind> kinds) {
    run([&] {
      one.upstream->stream().write(base::as_bytes(bytes));
      for (const Kind kind : kinds) one.upstream->replies.push({.kind = kind});
    });
  }
  // The upstream has been kept, cleaned, and asked this.
  void expect_reused(std::vector<std::string> asked) {
    EXPECT_TRUE(world.run_until([&] { return pool().counts().idle == 1; }, world.now() + seconds(3)));
    EXPECT_EQ(server->peers.size(), 1U);
    EXPECT_EQ(server->peer(0).asked(), asked);
    EXPECT_TRUE(serve("next").upstream->clean());
  }
  void expect_closed() {
    let(milliseconds(200));
    EXPECT_EQ(pool().counts().cleaning, 0U);
    EXPECT_EQ(server->open_peers(), 0U);
  }
};

TEST_F(JanitorTest, RollsBackATransactionThatWasLeftOpen) {
  Customer& one = serve("one");
  ask_and_hear(one, "BEGIN");
  give_back(one);
  EXPECT_EQ(pool().counts().cleaning, 1U);
  expect_reused({"BEGIN", "ROLLBACK"});
  EXPECT_EQ(server->peer(0).cancels, 0);
}

TEST_F(JanitorTest, CancelsAQueryThatNobodyWaitsFor) {
  Customer& one = serve("one");
  ask(one, "hang");
  let(milliseconds(100));
  give_back(one);
  expect_reused({"hang"});
  EXPECT_EQ(server->peer(0).cancels, 1);
}

TEST_F(JanitorTest, DoesNotKeepAServerWhoseSettingsWereBeingChanged) {
  Customer& one = serve("one");
  run([&] { one.upstream->send_query("hang"); });
  let(milliseconds(100));
  give_back(one);
  expect_closed();
}

TEST_F(JanitorTest, CancelsAndRollsBack) {
  Customer& one = serve("one");
  ask_and_hear(one, "BEGIN");
  ask(one, "hang");
  let(milliseconds(100));
  give_back(one);
  expect_reused({"BEGIN", "hang", "ROLLBACK"});
}

TEST_F(JanitorTest, CancelsEachQueryOfAPipeline) {
  Customer& one = serve("one");
  for (const char* sql : {"hang", "SELECT 1", "hang"}) ask(one, sql);
  let(milliseconds(10));
  give_back(one);
  expect_reused({"hang", "SELECT 1", "hang"});
  EXPECT_EQ(server->peer(0).cancels, 2);
}

TEST_F(JanitorTest, EndsABatchThatHasNoSync) {
  Customer& one = serve("one");
  base::ByteWriter out;
  pgwire::parse(out, "", "SELECT 1");
  send(one, std::string(base::as_text(out.view())), {Kind::kParse});
  run([&] { one.upstream->in_batch = true; });
  let(milliseconds(100));
  give_back(one);
  expect_reused({"P", "E", "S"});  // an Execute that fails, or Sync would commit
}

TEST_F(JanitorTest, EndsABatchThatFailed) {
  Customer& one = serve("one");
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'P') peer.send(sim::error_message("ERROR", "42601", "syntax error"));
    return message.type == 'P';
  };
  base::ByteWriter out;
  pgwire::parse(out, "", "SELEC 1");
  send(one, std::string(base::as_text(out.view())), {Kind::kParse});
  run([&] { one.upstream->in_batch = true; });
  let(milliseconds(100));
  ASSERT_TRUE(one.upstream->skipping);
  give_back(one);
  expect_reused({"P", "S"});
}

TEST_F(JanitorTest, FailsACopyThatWasLeft) {
  Customer& one = serve("one");
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'Q' && peer.asked_last() == "COPY t FROM STDIN") {
      peer.send(sim::message('G', std::string(3, '\0')));
      return true;
    }
    if (message.type == 'f') {
      peer.send(sim::error_message("ERROR", "57014", "COPY from stdin failed"));
      peer.ready();
    }
    return false;
  };
  ask(one, "COPY t FROM STDIN");
  let(milliseconds(100));
  ASSERT_TRUE(one.upstream->copy_in);
  give_back(one);
  expect_reused({"COPY t FROM STDIN", "f"});
}

TEST_F(JanitorTest, FailsACopyThatBeganAfterTheClientHadGone) {
  Customer& one = serve("one");
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'f') {
      peer.send(sim::error_message("ERROR", "57014", "COPY from stdin failed"));
      peer.ready();
    }
    return message.type == 'Q' && peer.asked_last() == "COPY t FROM STDIN";
  };
  ask(one, "COPY t FROM STDIN");
  let(milliseconds(100));
  give_back(one);
  let(milliseconds(100));
  on_server([&] { server->peer(0).send(sim::message('G', std::string(3, '\0'))); });
  expect_reused({"COPY t FROM STDIN", "f"});
}

TEST_F(JanitorTest, ResetsWhenAsked) {
  Customer& one = serve("one");
  ask_and_hear(one, "BEGIN");
  give_back(one, true);
  expect_reused({"BEGIN", "ROLLBACK", "DISCARD ALL"});
}

TEST_F(JanitorTest, ResetsACleanOneWhenAsked) {
  give_back(serve("one"), true);
  expect_reused({"DISCARD ALL"});
}

TEST_F(JanitorTest, ClosesWhatCouldNotBeReset) {
  Customer& one = serve("one");
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type != 'Q' || peer.asked_last() != "DISCARD ALL") return false;
    peer.send(sim::error_message("ERROR", "57014", "canceling statement due to statement timeout"));
    peer.ready();
    return true;
  };
  give_back(one, true);
  expect_closed();
}

TEST_F(JanitorTest, ClosesATransactionThatWillNotEnd) {
  Customer& one = serve("one");
  ask_and_hear(one, "BEGIN");
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'Q') peer.ready();  // still in it
    return message.type == 'Q';
  };
  give_back(one);
  expect_closed();
}

TEST_F(JanitorTest, ClosesWhatIsNotCleanInTime) {
  Customer& one = serve("one");
  server->script = [](sim::ScriptedPeer&, const sim::Message& message) { return message.type == 'Q'; };
  ask(one, "SELECT uncancellable()");
  let(milliseconds(100));
  give_back(one);
  let(milliseconds(4900));
  EXPECT_EQ(pool().counts().cleaning, 1U);
  let(milliseconds(200));
  EXPECT_EQ(pool().counts().cleaning, 0U);
  EXPECT_EQ(server->open_peers(), 0U);
  EXPECT_EQ(ledger.scope("upstreams")->open, 0);
}

TEST_F(JanitorTest, ClosesWhatTheServerLeaves) {
  Customer& one = serve("one");
  ask(one, "hang");
  let(milliseconds(100));
  server->hold_cancels = true;
  give_back(one);
  on_server([&] { server->peer(0).close(); });
  expect_closed();
}

TEST_F(JanitorTest, ClosesWhatMakesNoSense) {
  Customer& one = serve("one");
  ask_and_hear(one, "BEGIN");
  server->script = [](sim::ScriptedPeer& peer, const sim::Message& message) {
    if (message.type == 'Q') peer.send(sim::message('1'));
    return message.type == 'Q';
  };
  give_back(one);
  expect_closed();
}

TEST_F(JanitorTest, ABrokenUpstreamIsClosedAtOnce) {
  Customer& one = serve("one");
  run([&] {
    one.upstream->broken = true;
    pool().release(*std::exchange(one.upstream, nullptr), true);
    EXPECT_EQ(pool().counts().cleaning, 0U);
  });
  expect_closed();
  EXPECT_TRUE(server->peer(0).asked().empty());
}

TEST_F(JanitorTest, NobodyGetsAnUpstreamWhoseCancelIsUnderWay) {
  Customer& one = serve("one");
  Customer& two = come("two");
  run([&] { ++one.upstream->cancels_under_way; });
  const auto id = one.upstream->id;
  give_back(one);
  let(seconds(1));
  EXPECT_FALSE(two.served());
  run([&] { pool().cancel_answered(id, upstream::CancelEnd::kCertain); });
  EXPECT_TRUE(two.served());
}

TEST_F(JanitorTest, InDoubtAboutACancelTheUpstreamIsClosed) {
  Customer& one = serve("one");
  Customer& two = come("two");
  run([&] { ++one.upstream->cancels_under_way; });
  const auto id = one.upstream->id;
  give_back(one);
  run([&] { pool().cancel_answered(id, upstream::CancelEnd::kInDoubt); });
  let(milliseconds(100));
  ASSERT_TRUE(two.served());
  EXPECT_FALSE(server->peer(0).open());
  EXPECT_NE(two.upstream->id, id);
}

TEST_F(JanitorTest, ItsOwnCancelHoldsTheUpstreamBackToo) {
  server->hold_cancels = true;
  Customer& one = serve("one");
  Customer& two = come("two");
  ask(one, "hang");
  let(milliseconds(100));
  give_back(one);
  let(seconds(1));
  EXPECT_FALSE(two.served()) << "the query has ended, but the signal may still come";
  on_server([&] { server->answer_cancels(); });
  EXPECT_TRUE(two.served());
  EXPECT_EQ(server->peers.size(), 1U);
}

TEST_F(JanitorTest, WhoWaitsGetsItNext) {
  Customer& one = serve("one");
  ask(one, "hang");
  let(milliseconds(100));
  Customer& two = come("two");
  give_back(one);
  let(milliseconds(200));
  EXPECT_TRUE(two.served());
  EXPECT_EQ(two.upstream->process_id, server->peer(0).pid);
}

TEST_F(JanitorTest, AnswersThatAreSwallowedStillCount) {
  Customer& one = serve("one");
  sim::ScriptedPeer& peer = peer_of(one);
  ask(one, "hang");
  let(milliseconds(10));
  on_server([&] { peer.send(sim::message('S', sim::zero_ended("TimeZone") + sim::zero_ended("GMT"))); });
  give_back(one);
  expect_reused({"hang"});
  EXPECT_EQ(*customers.back().upstream->settings->find("TimeZone"), "GMT");
}

}  // namespace
}  // namespace penstock::pool
