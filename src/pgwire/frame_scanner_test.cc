#include "pgwire/frame_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace penstock::pgwire {
namespace {

std::string message(char type, std::size_t body_bytes, char fill = 'x') {
  base::ByteWriter out;
  out.u8(static_cast<std::uint8_t>(type));
  out.be32(static_cast<std::uint32_t>(body_bytes + 4));
  out.raw(std::string(body_bytes, fill));
  return std::string(base::as_text(out.view()));
}

struct Seen {
  std::string stream;  // all bytes shown
  std::string whole;   // types of messages shown whole
  std::string begun;   // types of messages shown in parts
  bool broken = false;
};

Seen walk(FrameScanner& scanner, const std::vector<std::string>& pieces) {
  Seen seen;
  for (const std::string& piece : pieces) {
    scanner.feed(base::as_bytes(piece));
    for (;;) {
      const FrameScanner::Event event = scanner.next();
      if (event.kind == FrameScanner::Kind::kMore) break;
      if (event.kind == FrameScanner::Kind::kBroken) {
        seen.broken = true;
        return seen;
      }
      seen.stream += base::as_text(event.bytes);
      if (event.kind == FrameScanner::Kind::kMessage) seen.whole += static_cast<char>(event.type);
      if (event.kind == FrameScanner::Kind::kPart && event.first) {
        seen.begun += static_cast<char>(event.type);
        EXPECT_GE(event.bytes.size(), 5U);
      }
    }
  }
  return seen;
}

FrameScanner::Policy policy() {
  FrameScanner::Policy policy;
  policy.whole_max['Z'] = 64;
  policy.whole_max['P'] = 100;
  policy.prefix_bytes['B'] = 20;
  return policy;
}

TEST(FrameScanner, ShowsMessagesOfOneChunkInPlace) {
  const auto rules = policy();
  FrameScanner scanner(rules);
  const auto seen = walk(scanner, {message('D', 10) + message('C', 3) + message('Z', 1)});
  EXPECT_EQ(seen.whole, "DCZ");
  EXPECT_TRUE(scanner.at_boundary());
}

TEST(FrameScanner, ShowsTheSameWhereverTheStreamIsCut) {
  const auto rules = policy();
  const std::string stream = message('D', 10) + message('Z', 1) + message('P', 50) + message('B', 40) +
                             message('P', 500) + message('S', 0) + message('Z', 1);
  for (std::size_t first = 0; first < stream.size(); ++first) {
    for (std::size_t second = first; second < stream.size(); second += 7) {
      FrameScanner scanner(rules);
      const auto seen = walk(
          scanner, {stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)});
      EXPECT_EQ(seen.stream, stream);
      EXPECT_EQ(std::ranges::count(seen.whole, 'Z'), 2);
      EXPECT_TRUE(scanner.at_boundary());
    }
  }
}

TEST(FrameScanner, HoldsOnlyWhatMustBeSeenWhole) {
  const auto rules = policy();
  FrameScanner scanner(rules);
  const std::string small = message('P', 50);
  walk(scanner, {small.substr(0, 30)});
  EXPECT_EQ(scanner.held_bytes(), 30U);
  walk(scanner, {small.substr(30)});
  EXPECT_EQ(scanner.held_bytes(), 0U);
  const std::string large = message('P', 5000);
  walk(scanner, {large.substr(0, 300)});
  EXPECT_EQ(scanner.held_bytes(), 0U);
  EXPECT_EQ(scanner.remaining(), large.size() - 300);
}

TEST(FrameScanner, GathersThePrefixOfALongMessage) {
  const auto rules = policy();
  FrameScanner scanner(rules);
  const std::string bind = message('B', 1000);
  std::vector<std::string> bytes;
  for (char c : bind) bytes.emplace_back(1, c);
  bool checked = false;
  for (const std::string& byte : bytes) {
    scanner.feed(base::as_bytes(byte));
    for (auto event = scanner.next(); event.kind != FrameScanner::Kind::kMore; event = scanner.next()) {
      if (event.first) {
        EXPECT_EQ(event.bytes.size(), 20U);
        checked = true;
      }
    }
  }
  EXPECT_TRUE(checked);
  EXPECT_TRUE(scanner.at_boundary());
}

TEST(FrameScanner, ShowsNeighboursOfATypeAsOneRun) {
  auto rules = policy();
  rules.in_runs['D'] = true;
  const std::string rows = message('D', 10) + message('D', 200) + message('D', 0);
  FrameScanner scanner(rules);
  EXPECT_EQ(walk(scanner, {rows + message('C', 3) + message('D', 10) + message('Z', 1)}).whole, "DCDZ");
  FrameScanner in_parts(rules);
  const auto seen = walk(in_parts, {rows + message('D', 50).substr(0, 3), message('D', 50).substr(3) + rows});
  EXPECT_EQ(seen.stream, rows + message('D', 50) + rows);
  EXPECT_TRUE(in_parts.at_boundary());
}

TEST(FrameScanner, ARunEndsBeforeAnImpossibleLength) {
  auto rules = policy();
  rules.in_runs['D'] = true;
  rules.message_bytes_max = 1000;
  for (const std::string& bad : {std::string("D\0\0\0\3", 5), message('D', 2000)}) {
    FrameScanner scanner(rules);
    const auto seen = walk(scanner, {message('D', 5) + message('D', 5) + bad});
    EXPECT_EQ(seen.whole, "D");
    EXPECT_TRUE(seen.broken);
  }
}

TEST(FrameScanner, RefusesImpossibleLengths) {
  auto rules = policy();
  rules.message_bytes_max = 1000;
  for (const std::string& bad :
       {std::string("D\0\0\0\3", 5), std::string("D\xff\xff\xff\xff", 5), message('D', 2000)}) {
    FrameScanner scanner(rules);
    EXPECT_TRUE(walk(scanner, {bad}).broken);
    FrameScanner split(rules);
    EXPECT_TRUE(walk(split, {bad.substr(0, 2), bad.substr(2)}).broken);
  }
}

}  // namespace
}  // namespace penstock::pgwire
