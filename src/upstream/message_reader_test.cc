#include "upstream/message_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/task.h"
#include "upstream/unwired_test.h"

namespace penstock::upstream {
namespace {

using testing::DeadEnd;
using Want = MessageReader::Want;

class MessageReaderTest : public ::testing::Test {
 public:
  // The connection, whose bytes come from receive().
  io::StreamPtr stream() {
    auto result = std::make_unique<DeadEnd>(*loop, written);
    line = result.get();
    return result;
  }
  void receive(std::string_view bytes) { line->sink->on_data(io::Chunk::copy_of(base::as_bytes(bytes))); }
  // Begins to read; what has been read, or the error, is added to `read`.
  void begin(MessageReader& reader, Want want = Want::kMessage, base::TimePoint deadline = base::kNever) {
    reading_ = read_one(reader, want, deadline);
    reading_.start([this] { read.push_back(reading_.take_result()); });
  }

  io::SimWorld world{1};
  std::unique_ptr<io::SimLoop> loop = world.make_loop("worker");
  std::string written;
  DeadEnd* line = nullptr;
  std::vector<std::string> read;

 private:
  static io::Task<std::string> read_one(MessageReader& reader, Want want, base::TimePoint deadline) {
    const auto message = co_await MessageReader::Reading(reader, want, deadline);
    if (!message) co_return message.error().to_string();
    std::string text(base::as_text(message->body));
    if (message->type != 0) text.insert(0, 1, static_cast<char>(message->type));
    co_return text;
  }
  io::Task<std::string> reading_;
};

std::string text_of(const std::vector<io::Chunk>& chunks) {
  std::string text;
  for (const io::Chunk& chunk : chunks) text += base::as_text(chunk.view());
  return text;
}

TEST_F(MessageReaderTest, ReadsMessagesHoweverTheyAreCut) {
  const std::string bytes =
      sim::message('R', "four") + sim::message('Z') + sim::message('S', "name and value");
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); second += 3) {
      read.clear();
      MessageReader reader(stream());
      std::size_t at = 0;
      for (const std::size_t end : {first, second, bytes.size()}) {
        if (end > at) receive(std::string_view(bytes).substr(at, end - at));
        at = end;
      }
      for (int i = 0; i < 3; ++i) begin(reader);
      ASSERT_EQ(read, (std::vector<std::string>{"Rfour", "Z", "Sname and value"})) << first << ' ' << second;
    }
  }
}

TEST_F(MessageReaderTest, WaitsUntilTheMessageIsWhole) {
  MessageReader reader(stream());
  begin(reader);
  for (const char byte : sim::message('R', "body")) {
    EXPECT_TRUE(read.empty());
    receive({&byte, 1});
  }
  EXPECT_EQ(read, std::vector<std::string>{"Rbody"});
}

TEST_F(MessageReaderTest, ReadsStartUpPacketsAndBytes) {
  MessageReader reader(stream());
  receive("S" + sim::startup_packet(sim::kSslRequest, "") + "Nrest");
  begin(reader, Want::kPeek);
  begin(reader, Want::kByte);
  begin(reader, Want::kStartupPacket);
  begin(reader, Want::kByte);
  EXPECT_EQ(read, (std::vector<std::string>{"S", "S", sim::be32(sim::kSslRequest), "N"}));
  EXPECT_TRUE(reader.has_more());
}

TEST_F(MessageReaderTest, HandsOnWhatNobodyHasRead) {
  MessageReader reader(stream());
  receive(sim::message('Z', "I") + sim::message('N', "not"));
  receive("ice");
  begin(reader);
  std::vector<io::Chunk> rest;
  const auto released = reader.release(rest);
  EXPECT_EQ(released.get(), line);
  EXPECT_EQ(text_of(rest), sim::message('N', "not") + "ice");
}

TEST_F(MessageReaderTest, BeginsWithWhatWasReceivedBefore) {
  std::vector<io::Chunk> received;
  received.push_back(io::Chunk::copy_of(base::as_bytes(sim::message('R', "one").substr(0, 6))));
  received.push_back(io::Chunk::copy_of(base::as_bytes(sim::message('R', "one").substr(6))));
  MessageReader reader(stream(), {}, std::move(received));
  EXPECT_TRUE(reader.has_more());
  begin(reader);
  EXPECT_EQ(read, std::vector<std::string>{"Rone"});
  EXPECT_FALSE(reader.has_more());
}

TEST_F(MessageReaderTest, RefusesAMessageThatIsTooLargeAtItsLength) {
  MessageReader reader(stream(), {.startup_bytes_max = 100, .message_bytes_max = 100});
  receive(sim::message('R', std::string(97, 'x')).substr(0, 5));
  begin(reader);
  ASSERT_EQ(read.size(), 1U);
  EXPECT_NE(read[0].find("08P01"), std::string::npos) << read[0];
}

TEST_F(MessageReaderTest, TakesAMessageThatIsJustNotTooLarge) {
  MessageReader reader(stream(), {.startup_bytes_max = 100, .message_bytes_max = 100});
  receive(sim::message('R', std::string(96, 'x')));
  begin(reader);
  EXPECT_EQ(read, std::vector<std::string>{"R" + std::string(96, 'x')});
}

TEST_F(MessageReaderTest, RefusesALengthThatCannotBe) {
  MessageReader reader(stream());
  receive(std::string("R\0\0\0\3", 5));
  begin(reader);
  ASSERT_EQ(read.size(), 1U);
  EXPECT_NE(read[0].find("08P01"), std::string::npos) << read[0];
}

TEST_F(MessageReaderTest, StopsReceivingWhileNobodyReads) {
  MessageReader reader(stream());
  const std::string message = sim::message('d', std::string(1000, 'x'));
  for (std::size_t sent = 0; sent <= io::kUnsentHigh; sent += message.size()) {
    EXPECT_FALSE(line->paused);
    receive(message);
  }
  EXPECT_TRUE(line->paused);
  begin(reader);
  EXPECT_FALSE(line->paused);
}

TEST_F(MessageReaderTest, AReleasedStreamReceivesAgain) {
  MessageReader reader(stream());
  receive(std::string(io::kUnsentHigh + 1, 'x'));
  EXPECT_TRUE(line->paused);
  std::vector<io::Chunk> rest;
  const auto released = reader.release(rest);
  EXPECT_FALSE(line->paused);
}

TEST_F(MessageReaderTest, GivesUpAtTheDeadline) {
  MessageReader reader(stream());
  const auto deadline = loop->now() + std::chrono::seconds(3);
  receive("R");
  begin(reader, Want::kMessage, deadline);
  world.run_until(deadline - std::chrono::milliseconds(10));
  EXPECT_TRUE(read.empty());
  world.run_until(deadline + std::chrono::milliseconds(10));
  EXPECT_EQ(read, std::vector<std::string>{"timeout expired (08006)"});
}

TEST_F(MessageReaderTest, ADeadlineThatIsMetDoesNotComeLater) {
  MessageReader reader(stream());
  begin(reader, Want::kMessage, loop->now() + std::chrono::seconds(3));
  receive(sim::message('Z'));
  begin(reader);
  world.run_until(world.now() + std::chrono::seconds(10));
  EXPECT_EQ(read, std::vector<std::string>{"Z"});
  receive(sim::message('S'));
  EXPECT_EQ(read, (std::vector<std::string>{"Z", "S"}));
}

TEST_F(MessageReaderTest, TellsTheEndAfterWhatCameBefore) {
  MessageReader reader(stream());
  receive(sim::message('E', "why") + "R");
  line->sink->on_end(nullptr);
  begin(reader);
  begin(reader);
  EXPECT_EQ(read, (std::vector<std::string>{"Ewhy", "the connection was closed by the other side (08006)"}));
}

TEST_F(MessageReaderTest, TellsWhyTheConnectionFailed) {
  MessageReader reader(stream());
  begin(reader);
  const base::Error reset{.sqlstate = base::kConnectionFailure, .message = "connection reset by peer"};
  line->sink->on_end(&reset);
  EXPECT_EQ(read, std::vector<std::string>{"connection reset by peer (08006)"});
}

}  // namespace
}  // namespace penstock::upstream
