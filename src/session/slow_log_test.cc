#include "session/slow_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "telemetry/log.h"

namespace penstock::session {
namespace {

namespace log = telemetry::log;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

class SlowLogTest : public testing::Test {
 protected:
  SlowLogTest() {
    EXPECT_TRUE(log::start({.capture = [this](std::string_view line) { lines_.emplace_back(line); }}));
  }
  ~SlowLogTest() override { log::stop(); }
  // All lines, when everything has been written.
  std::string written() {
    log_.reset();
    log::stop();
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }
  std::optional<SlowLog> log_{std::in_place};
  std::vector<std::string> lines_;
};

TEST_F(SlowLogTest, WritesTheFormAndNoValue) {
  log_->report({.client = 17,
                .tenant = "acme",
                .user = "app",
                .database = "db",
                .duration = 1234567us,
                .wait = 1500us,
                .rows = 3,
                .bytes = 99,
                .statements = 1,
                .text = "SELECT * FROM users WHERE name = 'Jane'"},
               SlowLog::Text::kForm);
  std::vector<SlowQuery> recent;
  while ((recent = log_->recent()).empty()) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(recent.at(0).text, "SELECT * FROM users WHERE name = $1");
  EXPECT_EQ(recent.at(0).fingerprint.size(), 16u);
  const std::string text = written();
  EXPECT_THAT(text, HasSubstr("query.slow client=17 tenant=acme user=app database=db"));
  EXPECT_THAT(text, HasSubstr("duration_ms=1234.567 wait_ms=1.500 rows=3 bytes=99 statements=1"));
  EXPECT_THAT(text, HasSubstr("SELECT * FROM users WHERE name = $1"));
  EXPECT_THAT(text, Not(HasSubstr("Jane")));
}

TEST_F(SlowLogTest, WritesTheTextWhenToldToButDoesNotRememberIt) {
  log_->report({.text = "SELECT 'Jane'"}, SlowLog::Text::kFull);
  std::vector<SlowQuery> recent;
  while ((recent = log_->recent()).empty()) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(recent.at(0).text, "SELECT $1");
  EXPECT_THAT(written(), HasSubstr("SELECT 'Jane'"));
}

TEST_F(SlowLogTest, ParsesNoMoreThanItsShareAndTellsHowManyItLeftOut) {
  constexpr unsigned kMany = 5 * SlowLog::kPerSecond;
  for (unsigned i = 0; i < kMany; ++i) log_->report({.text = "SELECT 1"}, SlowLog::Text::kForm);
  EXPECT_GE(log_->skipped(), kMany - 2 * SlowLog::kPerSecond);
  std::this_thread::sleep_for(1100ms);
  log_->report({.text = "SELECT 2"}, SlowLog::Text::kForm);
  const std::uint64_t skipped = log_->skipped();
  const std::string text = written();
  std::uint64_t told = 0;
  for (std::size_t at = text.find("skipped="); at != std::string::npos; at = text.find("skipped=", at + 1)) {
    told += std::strtoull(text.c_str() + at + 8, nullptr, 10);
  }
  EXPECT_EQ(told, skipped);
}

}  // namespace
}  // namespace penstock::session
