#include "session/slow_watch.h"

#include <gtest/gtest.h>

#include "sql/query_form.h"

namespace penstock::session {
namespace {

upstream::StatementPtr statement(std::string_view text) {
  static upstream::StatementTable table;
  const std::string definition = std::string(text) + std::string("\0\0\0", 3);
  return table.intern({reinterpret_cast<const std::uint8_t*>(definition.data()), definition.size()});
}

std::string answered(SlowWatch& watch) {
  return std::string(watch.answered().shown());
}

TEST(SlowWatch, KeepsTheTextsOfAPipelineInOrder) {
  SlowWatch watch;
  for (const char* text : {"one", "two"}) {
    watch.queried(text, true);
    watch.close();
  }
  watch.parsed("three");
  watch.bound("", nullptr);
  watch.executed();
  watch.parsed("four");
  watch.bound("", nullptr);
  watch.executed();
  watch.close();
  EXPECT_EQ(answered(watch), "one");
  EXPECT_EQ(answered(watch), "two");
  const SlowWatch::Asked last = watch.answered();
  EXPECT_EQ(last.shown(), "three") << "the first of a batch";
  EXPECT_EQ(last.statements, 2u);
  EXPECT_EQ(answered(watch), "") << "nothing is due";
}

TEST(SlowWatch, KnowsWhichStatementIsExecuted) {
  SlowWatch watch;
  watch.parsed("prepared but not executed");
  watch.bound("s1", statement("the one that is bound"));
  watch.close();
  EXPECT_EQ(answered(watch), "the one that is bound");
  watch.parsed("mine", statement("under its own name"));
  watch.close();
  EXPECT_EQ(answered(watch), "under its own name") << "a Parse may be slow, too";
  watch.bound("mine", nullptr);
  watch.close();
  EXPECT_EQ(answered(watch), "under its own name");
  watch.parsed("something else");
  watch.bound("nobody knows it", nullptr);
  watch.close();
  EXPECT_EQ(answered(watch), "");
}

TEST(SlowWatch, PutsALongQueryTogetherUpToItsBound) {
  SlowWatch watch;
  watch.queried("SELECT ", false);
  watch.close();
  watch.more("'a', ", false);
  watch.more(std::string_view("'b'\0", 4), true);
  watch.more("of another message", true);
  EXPECT_EQ(answered(watch), "SELECT 'a', 'b'");
  watch.queried("x", false);
  watch.close();
  for (int i = 0; i < 100; ++i) watch.more(std::string(10'000, 'x'), i == 99);
  EXPECT_EQ(watch.answered().shown().size(), sql::kQueryBytesMax + 1) << "shows that it was longer";
}

TEST(SlowWatch, ForgetsTextsBeyondItsBoundButNoRequest) {
  SlowWatch watch;
  for (int i = 0; i < 1000; ++i) {
    watch.queried(std::to_string(i), true);
    watch.close();
  }
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(answered(watch), i < static_cast<int>(SlowWatch::kTextsMax) ? std::to_string(i) : "");
  }
  watch.queried("next", true);
  watch.close();
  EXPECT_EQ(answered(watch), "next");
}

TEST(SlowWatch, CountsRowsOfTheOldest) {
  SlowWatch watch;
  watch.count_rows(7);  // of nothing that is known
  watch.queried("a", true);
  watch.close();
  watch.queried("b", true);
  watch.close();
  watch.count_rows(3);
  watch.count_rows(2);
  EXPECT_EQ(watch.answered().rows, 5u);
  EXPECT_EQ(watch.answered().rows, 0u);
}

}  // namespace
}  // namespace penstock::session
