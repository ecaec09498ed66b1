#include "session/slow_log.h"

#include <fmt/format.h>

#include "sql/query_form.h"
#include "telemetry/log.h"

namespace penstock::session {

namespace log = telemetry::log;

namespace {

std::string milliseconds_of(std::chrono::microseconds time) {
  return fmt::format("{}.{:03}", time.count() / 1000, time.count() % 1000);
}

}  // namespace

SlowLog::~SlowLog() {
  {
    const std::scoped_lock lock(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.reset();
}

bool SlowLog::admit(std::chrono::steady_clock::time_point now) {
  if (now - second_ >= std::chrono::seconds(1)) {
    second_ = now;
    in_second_ = 0;
  }
  if (in_second_ < kPerSecond && waiting_.size() < kWaitingMax) {
    ++in_second_;
    return true;
  }
  ++skipped_;
  return false;
}

void SlowLog::report(SlowQuery query, Text text) {
  query.at = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  {
    const std::scoped_lock lock(mutex_);
    if (ends_ || !admit(std::chrono::steady_clock::now())) return;
    waiting_.push_back({.query = std::move(query), .text = text});
    if (thread_ == nullptr) {
      thread_ = base::DeepThread::start(sql::kQueryFormStack, "slow log", [this] { run(); });
    }
    if (thread_ == nullptr) {
      waiting_.clear();
      ++skipped_;
      log::warning("query.slow_failed", {},
                   "slow queries are not written: no thread can be started for them");
    }
  }
  wake_.notify_one();
}

std::vector<SlowQuery> SlowLog::recent() const {
  const std::scoped_lock lock(mutex_);
  return {recent_.rbegin(), recent_.rend()};
}

std::uint64_t SlowLog::skipped() const {
  const std::scoped_lock lock(mutex_);
  return skipped_;
}

void SlowLog::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const std::uint64_t skipped = skipped_ - std::exchange(skipped_told_, skipped_);
    lock.unlock();
    write(std::move(next), skipped);
    lock.lock();
  }
}

void SlowLog::write(Waiting waiting, std::uint64_t skipped_before) {
  SlowQuery& query = waiting.query;
  sql::QueryForm form = sql::form_of(query.text);
  query.fingerprint = std::move(form.fingerprint);
  const std::string& shown = waiting.text == Text::kFull ? query.text : form.text;
  log::warning("query.slow",
               {{"client", query.client},
                {"tenant", query.tenant},
                {"user", query.user},
                {"database", query.database},
                {"application", query.application_name},
                {"duration_ms", milliseconds_of(query.duration)},
                {"wait_ms", milliseconds_of(query.wait)},
                {"rows", query.rows},
                {"bytes", query.bytes},
                {"statements", query.statements},
                {"fingerprint", query.fingerprint},
                {"skipped", skipped_before}},
               shown);
  query.text = std::move(form.text);
  const std::scoped_lock lock(mutex_);
  recent_.push_back(std::move(query));
  if (recent_.size() > kKept) recent_.pop_front();
}

}  // namespace penstock::session
