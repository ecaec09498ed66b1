#include "script.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock::load {
namespace {

using State = Checker::State;

// Plays back exactly what is expected, changed by `change` at message `at`.
template <class Change>
State play(const Script& script, std::size_t at, Change&& change) {
  Checker checker(script);
  State state = State::kMore;
  for (std::size_t i = 0; i < script.expected().size(); ++i) {
    std::string bytes = script.expected()[i].bytes;
    if (i == at) change(bytes);
    if (bytes.empty()) continue;
    state = checker.take(bytes[0], std::string_view(bytes).substr(1));
    if (state == State::kWrong) break;
  }
  return state;
}

Script one_select() {
  Script script;
  script.select("SELECT 'token' AS t", "token");
  script.expect_ready();
  return script;
}

constexpr std::string_view kError("SERROR\0C57014\0Mcanceled\0\0", 25);

TEST(Checker, IsContentWithExactlyWhatIsExpected) {
  EXPECT_EQ(play(one_select(), 99, [](std::string&) {}), State::kDone);
}

TEST(Checker, FindsEveryChangedByteOfEveryMessage) {
  const Script script = one_select();
  for (std::size_t message = 0; message < script.expected().size(); ++message) {
    for (std::size_t byte = 0; byte < script.expected()[message].bytes.size(); ++byte) {
      if (byte == 0) continue;  // the type: below
      EXPECT_EQ(play(script, message, [&](std::string& bytes) { bytes[byte] ^= 1; }), State::kWrong)
          << message << " " << byte;
    }
    EXPECT_EQ(play(script, message, [](std::string& bytes) { bytes[0] = 'I'; }), State::kWrong);
  }
}

TEST(Checker, FindsMissingAndSurplusMessages) {
  for (std::size_t message = 0; message + 1 < one_select().expected().size(); ++message) {
    EXPECT_EQ(play(one_select(), message, [](std::string& bytes) { bytes.clear(); }), State::kWrong)
        << message;
  }
  const Script script = one_select();
  Checker checker(script);
  for (const Expected& each : script.expected())
    checker.take(each.bytes[0], std::string_view(each.bytes).substr(1));
  EXPECT_EQ(checker.take('D', "more"), State::kWrong);
}

TEST(Checker, AnUnexpectedErrorFailsOnceTheLastReadyForQueryHasCome) {
  Script script;
  script.parse("s", "SELECT $1::text AS t");
  script.sync();
  script.bind("s", "x");
  script.sync();
  Checker checker(script);
  EXPECT_EQ(checker.take('E', kError), State::kFailing);
  EXPECT_EQ(checker.take('Z', "I"), State::kFailing);
  EXPECT_EQ(checker.take('Z', "I"), State::kFailed);
  EXPECT_EQ(checker.sqlstate(), "57014");
}

TEST(Checker, AnExpectedErrorMustHaveItsSqlstate) {
  Script script;
  script.expect_error("57014");
  script.expect_ready();
  Checker good(script);
  good.take('E', kError);
  EXPECT_EQ(good.take('Z', "I"), State::kDone);
  EXPECT_EQ(good.sqlstate(), "");
  Script other;
  other.expect_error("22012");
  other.expect_ready();
  Checker bad(other);
  EXPECT_EQ(bad.take('E', kError), State::kFailing);
  EXPECT_EQ(bad.take('Z', "I"), State::kFailed);
  EXPECT_EQ(bad.sqlstate(), "57014");
}

TEST(Checker, WhatMayBeMissingMayBeMissingButNotDifferent) {
  Script script;
  script.expect_columns({"t"});
  script.or_nothing();
  script.expect_error("57014");
  const std::string columns = script.expected()[0].bytes.substr(1);
  Checker with(script);
  EXPECT_EQ(with.take('T', columns), State::kMore);
  EXPECT_EQ(with.take('E', kError), State::kDone);
  Checker without(script);
  EXPECT_EQ(without.take('E', kError), State::kDone);
  Checker other(script);
  EXPECT_EQ(other.take('T', "other columns"), State::kWrong);
}

TEST(Checker, CapturesRowsThatCannotBeForeseen) {
  Script script;
  script.expect_any_row();
  Checker checker(script);
  EXPECT_EQ(checker.take('D', "pid"), State::kDone);
  EXPECT_EQ(checker.captured(), std::vector<std::string>{"pid"});
}

}  // namespace
}  // namespace penstock::load
