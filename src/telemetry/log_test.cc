#include "telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace penstock::telemetry::log {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::atomic<int> second_now{1000};
std::chrono::system_clock::time_point fake_clock() {
  return std::chrono::system_clock::time_point(std::chrono::seconds(second_now.load()));
}

class Log : public testing::Test {
 protected:
  // Starts a log whose lines end in `lines_`, readable after stop().
  void start_captured(Options options = {}) {
    options.capture = [this](std::string_view line) { lines_.emplace_back(line); };
    options.clock = &fake_clock;
    ASSERT_TRUE(start(std::move(options)));
  }
  void TearDown() override { stop(); }

  static std::string contents(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::vector<std::string> lines_;
};

TEST_F(Log, WritesOneLinePerEvent) {
  start_captured();
  info("client.login", {{"client", 1}}, "logged in");
  error("server.lost", {{"server", 2}});
  stop();
  EXPECT_THAT(lines_, ElementsAre("1970-01-01T00:16:40.000Z info client.login client=1 msg=\"logged in\"",
                                  "1970-01-01T00:16:40.000Z error server.lost server=2"));
}

TEST_F(Log, LeavesOutWhatIsLessImportantThanItsLevel) {
  start_captured({.level = Level::kWarning});
  EXPECT_FALSE(enabled(Level::kInfo));
  info("a", {});
  debug("b", {});
  warning("c", {});
  stop();
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("warning c")));
}

TEST_F(Log, TakesBracesInMessagesAsTheyAre) {
  start_captured();
  info("a", {}, "{} {0} %n %v");
  stop();
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("msg=\"{} {0} %n %v\"")));
}

TEST_F(Log, SuppressesAFloodAndTellsHowMuch) {
  start_captured({.events_per_second = 3});
  for (int i = 0; i < 10; ++i) info("login.failed", {});
  ++second_now;
  info("other", {});
  stop();
  ASSERT_THAT(lines_, SizeIs(5));
  EXPECT_THAT(lines_[3], HasSubstr("warning log.suppressed of=login.failed count=7"));
  EXPECT_THAT(lines_[4], HasSubstr("other"));
}

TEST_F(Log, TellsWhatWasSuppressedEvenWhenNothingFollows) {
  start_captured({.events_per_second = 1});
  for (int i = 0; i < 3; ++i) info("login.failed", {});
  stop();
  EXPECT_THAT(lines_, SizeIs(2));
  EXPECT_THAT(lines_.back(), HasSubstr("count=2"));
}

TEST_F(Log, NeverWaitsForASlowReaderAndCountsWhatIsLost) {
  std::atomic<bool> stuck{true};
  std::vector<std::string> lines;
  ASSERT_TRUE(start({.events_per_second = 0, .queue_lines = 16, .capture = [&](std::string_view line) {
                       while (stuck) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                       lines.emplace_back(line);
                     }}));
  for (int i = 0; i < 1000; ++i) info("event", {{"i", i}});
  EXPECT_GE(dropped(), 900u);
  stuck = false;
  stop();
  EXPECT_LE(lines.size(), 40u);
  EXPECT_THAT(lines, testing::Contains(HasSubstr("log.dropped count=")));
  EXPECT_THAT(lines, testing::Contains(HasSubstr("i=999"))) << "the newest lines are kept";
}

TEST_F(Log, CountsWhatAFullDiskDoesNotTakeAndTellsItOnce) {
  const std::string path = testing::TempDir() + "/penstock_log_test_full.log";
  std::remove(path.c_str());
  testing::internal::CaptureStderr();
  ASSERT_TRUE(start({.file = "/dev/full", .clock = &fake_clock}));
  for (int i = 0; i < 10; ++i) info("event", {{"i", i}});
  for (int i = 0; i < 2000 && dropped() < 10; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ++second_now;
  tick();
  ASSERT_TRUE(configure({.file = path, .clock = &fake_clock}));
  EXPECT_EQ(dropped(), 10U) << "what tells of the loss is not lost, too";
  tick();
  ++second_now;
  tick();
  info("event", {{"i", 10}});
  stop();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  const std::string text = contents(path);
  EXPECT_THAT(text, HasSubstr("log.dropped count=10\n"));
  EXPECT_EQ(text.find("log.dropped"), text.rfind("log.dropped"));
  EXPECT_THAT(text, HasSubstr("i=10\n"));
}

TEST_F(Log, StopsWithoutAReaderThatHangs) {
  auto stuck = std::make_shared<std::atomic<bool>>(true);
  ASSERT_TRUE(start({.capture = [stuck](std::string_view) {
    while (*stuck) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }}));
  info("event", {});
  const auto begin = std::chrono::steady_clock::now();
  stop(std::chrono::milliseconds(50));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  *stuck = false;
}

TEST_F(Log, WritesToAFileAndOpensItAnew) {
  const std::string path = testing::TempDir() + "/penstock_log_test.log";
  std::remove(path.c_str());
  std::remove((path + ".1").c_str());
  ASSERT_TRUE(start({.file = path}));
  info("before", {});
  // A line that is still queued may land in either file.
  while (contents(path).find("before") == std::string::npos) std::this_thread::yield();
  ASSERT_EQ(std::rename(path.c_str(), (path + ".1").c_str()), 0);
  ASSERT_TRUE(reopen());
  info("after", {});
  stop();
  EXPECT_THAT(contents(path + ".1"), HasSubstr("info before\n"));
  EXPECT_THAT(contents(path), HasSubstr("info after\n"));
  EXPECT_THAT(contents(path), testing::Not(HasSubstr("before")));
}

TEST_F(Log, KeepsGoingWhenANewFileCannotBeOpened) {
  start_captured();
  const base::Status status = configure({.level = Level::kDebug, .file = "/proc/nowhere/penstock.log"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sqlstate, base::kIoError);
  EXPECT_FALSE(enabled(Level::kDebug));
  info("still.here", {});
  stop();
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("still.here")));
}

TEST_F(Log, ChangesLevelAndFormatOnReload) {
  start_captured();
  std::vector<std::string> after;
  ASSERT_TRUE(configure({.level = Level::kDebug,
                         .format = Format::kJson,
                         .capture = [&](std::string_view line) { after.emplace_back(line); }}));
  debug("a", {});
  stop();
  EXPECT_THAT(lines_, IsEmpty());
  EXPECT_THAT(after, ElementsAre(HasSubstr(R"("event":"a")")));
}

TEST_F(Log, TakesLinesFromManyThreads) {
  start_captured({.events_per_second = 0, .queue_lines = 8192});
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 1000; ++i) info("event", {{"thread", t}, {"i", i}});
      });
    }
  }
  stop();
  EXPECT_THAT(lines_, SizeIs(4000));
}

}  // namespace
}  // namespace penstock::telemetry::log
