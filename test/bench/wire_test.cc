#include "wire.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::bench {
namespace {

std::string three_messages() {
  base::ByteWriter out;
  write_query(out, "SELECT 'x'");
  write_bare(out, 'S');
  write_parse(out, "s1", std::string(300, 'q'));
  return std::string(base::as_text(out.view()));
}

std::vector<std::string> collect(Inbox& inbox, std::string_view bytes) {
  std::vector<std::string> got;
  inbox.feed(bytes, [&](const Message& message) {
    got.push_back(message.type + std::string(message.body));
    return Inbox::Verdict::kTaken;
  });
  return got;
}

TEST(Inbox, GivesTheSameMessagesWhereverTheBytesAreSplit) {
  const std::string bytes = three_messages();
  Inbox whole;
  const std::vector<std::string> expected = collect(whole, bytes);
  ASSERT_EQ(expected.size(), 3U);
  for (std::size_t first = 0; first <= bytes.size(); first += 3) {
    for (std::size_t second = first; second <= bytes.size(); second += 7) {
      Inbox inbox;
      std::vector<std::string> got;
      for (const std::string_view part :
           {std::string_view(bytes).substr(0, first), std::string_view(bytes).substr(first, second - first),
            std::string_view(bytes).substr(second)}) {
        for (std::string& message : collect(inbox, part)) got.push_back(std::move(message));
      }
      ASSERT_EQ(got, expected) << first << " " << second;
      EXPECT_EQ(inbox.kept(), 0U);
    }
  }
}

TEST(Inbox, OffersAHeldMessageAgain) {
  Inbox inbox;
  inbox.feed(three_messages(), [](const Message& message) {
    return message.type == 'S' ? Inbox::Verdict::kHold : Inbox::Verdict::kTaken;
  });
  const std::vector<std::string> later = collect(inbox, {});
  ASSERT_EQ(later.size(), 2U);
  EXPECT_EQ(later[0], "S");
}

TEST(Inbox, StopsAtALengthThatCannotBe) {
  Inbox inbox;
  EXPECT_TRUE(collect(inbox, std::string("Q\0\0\0\2", 5)).empty());
  EXPECT_TRUE(inbox.broken());
  EXPECT_TRUE(collect(inbox, three_messages()).empty());
}

TEST(Inbox, TakesAStartupMessageInPieces) {
  base::ByteWriter out;
  write_startup(out, "alice", "shop", "till");
  write_bare(out, 'S');
  const std::string_view bytes = base::as_text(out.view());
  Inbox inbox;
  EXPECT_FALSE(inbox.take_startup(bytes.substr(0, 3)));
  EXPECT_FALSE(inbox.take_startup(bytes.substr(3, 10)));
  const auto body = inbox.take_startup(bytes.substr(13));
  ASSERT_TRUE(body);
  Fields fields(*body);
  EXPECT_EQ(fields.be32(), 3U << 16);
  EXPECT_EQ(fields.cstring(), "user");
  EXPECT_EQ(fields.cstring(), "alice");
  EXPECT_EQ(collect(inbox, {}), std::vector<std::string>{"S"});
}

TEST(Fields, AReadBeyondTheEndIsEmptyAndSaysSo) {
  Fields fields(std::string_view("\0\1abc", 5));
  EXPECT_EQ(fields.be16(), 1);
  EXPECT_EQ(fields.cstring(), "");
  EXPECT_TRUE(fields.failed());
  EXPECT_EQ(fields.be32(), 0U);
}

TEST(ReadError, FindsTheSqlstateAmongTheFields) {
  const ServerSays says = read_error(std::string_view("SERROR\0C57014\0Mcanceled\0\0", 25));
  EXPECT_EQ(says.sqlstate, "57014");
  EXPECT_EQ(says.message, "canceled");
}

}  // namespace
}  // namespace penstock::bench
