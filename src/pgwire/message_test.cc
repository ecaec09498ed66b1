#include "pgwire/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace penstock::pgwire {
namespace {

using base::as_bytes;
using base::as_text;
using base::ByteView;
using ::testing::HasSubstr;
using namespace std::literals;

using Messages = std::vector<std::pair<char, std::string>>;

// Feeds `stream` in pieces cut at `cuts` (ascending) and returns all messages.
Messages assemble(const std::string& stream, const std::vector<std::size_t>& cuts) {
  MessageAssembler assembler;
  Messages found;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t end = i < cuts.size() ? cuts[i] : stream.size();
    const std::string piece =
        stream.substr(begin, end - begin);  // memory of its own: views must not outlive it
    begin = end;
    ByteView input = as_bytes(piece);
    while (true) {
      const auto message = assembler.next_message(input);
      EXPECT_TRUE(message);
      if (!message || !*message) break;
      found.emplace_back(static_cast<char>((*message)->type), as_text((*message)->body));
    }
    EXPECT_TRUE(input.empty());
  }
  EXPECT_FALSE(assembler.in_message());
  return found;
}

const std::string kStream = "R\0\0\0\x0c\0\0\0\x05saltS\0\0\0\x04Z\0\0\0\x05IQ\0\0\0\x0bSELECT\0"s;
const Messages kExpected = {{'R', "\0\0\0\x05salt"s}, {'S', ""}, {'Z', "I"}, {'Q', "SELECT\0"s}};

TEST(MessageAssembler, FindsTheSameMessagesHoweverTheStreamIsCut) {
  EXPECT_EQ(assemble(kStream, {}), kExpected);
  for (std::size_t first = 0; first <= kStream.size(); ++first) {
    EXPECT_EQ(assemble(kStream, {first}), kExpected) << first;
    for (std::size_t second = first; second <= kStream.size(); ++second) {
      EXPECT_EQ(assemble(kStream, {first, second}), kExpected) << first << ' ' << second;
    }
  }
  std::vector<std::size_t> everywhere;
  for (std::size_t at = 1; at < kStream.size(); ++at) everywhere.push_back(at);
  EXPECT_EQ(assemble(kStream, everywhere), kExpected);
}

TEST(MessageAssembler, FindsAStartupPacketAtEverySplitAndLeavesTheRest) {
  const std::string packet = "\0\0\0\x11\0\3\0\0user\0ann\0\0"s.replace(3, 1, "\x12");
  ASSERT_EQ(packet.size(), 0x12U);
  for (std::size_t cut = 0; cut <= packet.size(); ++cut) {
    MessageAssembler assembler;
    const std::string head = packet.substr(0, cut);
    ByteView input = as_bytes(head);
    auto found = assembler.next_startup_packet(input);
    ASSERT_TRUE(found);
    const std::string tail = packet.substr(cut) + "p\0\0\0\x04"s;
    ByteView more = as_bytes(tail);
    if (cut < packet.size()) {
      EXPECT_FALSE(*found) << cut;
      EXPECT_EQ(assembler.in_message(), cut > 0);
      found = assembler.next_startup_packet(more);
      ASSERT_TRUE(found);
    }
    ASSERT_TRUE(*found) << cut;
    EXPECT_EQ(as_text(**found), packet.substr(4));
    EXPECT_EQ(as_text(more), "p\0\0\0\x04"s) << cut;
    EXPECT_FALSE(assembler.in_message());
  }
}

TEST(MessageAssembler, GoesFromTheStartupPacketToTypedMessagesInOneStream) {
  MessageAssembler assembler;
  const std::string stream = "\0\0\0\x08\x04\xd2\x16\x2fp\0\0\0\x07pw\0"s;
  ByteView input = as_bytes(stream);
  EXPECT_EQ(as_text(**assembler.next_startup_packet(input)), "\x04\xd2\x16\x2f");
  const auto message = assembler.next_message(input);
  EXPECT_EQ((*message)->type, 'p');
  EXPECT_EQ(as_text((*message)->body), "pw\0"s);
}

TEST(MessageAssembler, DoesNotCopyAMessageThatComesWhole) {
  MessageAssembler assembler;
  ByteView input = as_bytes(kStream);
  const ByteView stream = input;
  const auto message = assembler.next_message(input);
  EXPECT_EQ((*message)->body.data(), stream.data() + kHeaderBytes);
  EXPECT_EQ(assembler.held_bytes(), 0U);
}

TEST(MessageAssembler, LetsGoOfItsMemoryWithTheNextCall) {
  MessageAssembler assembler;
  ByteView first = as_bytes("Z\0\0"sv);
  EXPECT_FALSE(*assembler.next_message(first));
  EXPECT_EQ(assembler.held_bytes(), 3U);
  const std::string rest = "\0\5I"s;
  ByteView second = as_bytes(rest);
  EXPECT_EQ(as_text((**assembler.next_message(second)).body), "I");
  ByteView nothing;
  EXPECT_FALSE(*assembler.next_message(nothing));
  EXPECT_EQ(assembler.held_bytes(), 0U);
}

base::Error refused(MessageAssembler::Limits limits, const std::string& bytes, bool startup) {
  base::Error error;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {  // the same error at every split
    MessageAssembler assembler(limits);
    const auto feed = [&](const std::string& piece) -> base::Status {
      ByteView input = as_bytes(piece);
      if (startup) {
        if (const auto found = assembler.next_startup_packet(input); !found) return base::fail(found.error());
      } else if (const auto found = assembler.next_message(input); !found) {
        return base::fail(found.error());
      }
      return {};
    };
    auto status = feed(bytes.substr(0, cut));
    if (status) status = feed(bytes.substr(cut));
    EXPECT_FALSE(status) << cut;
    if (!status) error = status.error();
    EXPECT_LE(assembler.held_bytes(), 5U);
  }
  return error;
}

TEST(MessageAssembler, RefusesALengthBeyondItsLimitBeforeTheBodyComes) {
  const auto error = refused({.message_bytes_max = 100}, "p\0\0\0\x65"s, false);
  EXPECT_EQ(error.sqlstate, base::kProtocolViolation);
  EXPECT_EQ(error.message, "invalid message length");
  EXPECT_EQ(error.detail,
            "The length word says 101 bytes for a message of type 'p'; 4 to 100 are allowed here.");
  EXPECT_EQ(refused({.startup_bytes_max = 100}, "\0\0\0\x65"s, true).message,
            "invalid length of startup packet");
}

TEST(MessageAssembler, RefusesLengthsThatAreTooSmallOrNegative) {
  EXPECT_THAT(refused({}, "Q\0\0\0\x03"s, false).detail, HasSubstr("says 3 bytes"));
  EXPECT_THAT(refused({}, "Q\xff\xff\xff\xff"s, false).detail, HasSubstr("says -1 bytes"));
  EXPECT_THAT(refused({}, "\x01\0\0\0\0"s, false).detail, HasSubstr("type code 1;"));
  EXPECT_THAT(refused({}, "\0\0\0\x07"s, true).detail, HasSubstr("says 7 bytes; 8 to 10000"));
  EXPECT_THAT(refused({}, "\x80\0\0\0"s, true).detail, HasSubstr("says -2147483648 bytes"));
  EXPECT_THAT(refused({}, "GET / HTTP/1.1"s, true).message, HasSubstr("invalid length of startup packet"));
}

TEST(MessageAssembler, TakesMessagesOfExactlyItsLimit) {
  MessageAssembler assembler({.message_bytes_max = 6});
  const std::string stream = "p\0\0\0\x06hi"s;
  ByteView input = as_bytes(stream);
  EXPECT_EQ(as_text((**assembler.next_message(input)).body), "hi");
}

}  // namespace
}  // namespace penstock::pgwire
