#include "session/slow_watch.h"

#include <charconv>

#include "session/session.h"
#include "session/slow_log.h"
#include "sql/query_form.h"

namespace penstock::session {

namespace {

// Of a text without its zero byte; one byte above the limit shows that it was longer.
void append(std::string& text, std::string_view part) {
  text += part.substr(0, sql::kQueryBytesMax + 1 - std::min(text.size(), sql::kQueryBytesMax + 1));
}

std::string_view without_end(std::string_view text) {
  return text.substr(0, text.find('\0'));
}

}  // namespace

void SlowWatch::queried(std::string_view text, bool is_whole) {
  open_ = {.statements = 1};
  grows_ = !is_whole && has_room();
  if (has_room()) append(open_.text, without_end(text));
}

void SlowWatch::more(std::string_view text, bool is_last) {
  if (grows_ && has_due()) append(due_.back().text, without_end(text));
  if (is_last) grows_ = false;
}

void SlowWatch::parsed(std::string_view text) {
  if (open_.is_bound || !has_room()) return;
  open_.statement.reset();
  open_.text.clear();
  append(open_.text, without_end(text));
}

void SlowWatch::parsed(std::string_view name, upstream::StatementPtr statement) {
  if (!open_.is_bound) open_.statement = statement;
  const auto known = names_.find(std::string(name));
  if (known != names_.end()) {
    known->second = std::move(statement);
  } else if (names_.size() < kNamesMax) {
    names_.emplace(name, std::move(statement));
  }
}

void SlowWatch::bound(std::string_view name, const upstream::StatementPtr& statement) {
  if (open_.is_bound) return;
  open_.is_bound = true;
  if (statement != nullptr) {
    open_.statement = statement;
  } else if (const auto known = names_.find(std::string(name)); known != names_.end()) {
    open_.statement = known->second;
  } else if (!name.empty()) {
    open_.statement.reset();
    open_.text.clear();
  }
}

void SlowWatch::close() {
  due_.push_back(std::exchange(open_, {}));
}

SlowWatch::Asked SlowWatch::answered() {
  if (!has_due()) return {};
  Asked asked = std::move(due_[first_]);
  if (++first_ == due_.size()) {
    due_.clear();
    first_ = 0;
    grows_ = false;
  } else if (first_ == kTextsMax) {
    due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  return asked;
}

// --- the session's part ---

// From when on a query of this client is slow; 0: never.
std::chrono::milliseconds Session::slow_limit() const {
  const pool::PoolConfig& config = pool_->config();
  const auto own = config.slow_query_of.find(identity_->user);
  return own == config.slow_query_of.end() ? config.slow_query : own->second;
}

// Null: nobody wants to know.
SlowWatch* Session::slow_watch() {
  if (exchange_->slow_watch != nullptr) return exchange_->slow_watch.get();
  if (home_.slow_log == nullptr || slow_limit().count() == 0) return nullptr;
  if (!upstream_->replies.empty()) return nullptr;
  exchange_->slow_watch = std::make_unique<SlowWatch>();
  return exchange_->slow_watch.get();
}

// "SELECT 5", "INSERT 0 1": the number at the end.
void Session::count_rows(base::ByteView body) {
  const std::string_view tag = without_end(base::as_text(body));
  const std::string_view last = tag.substr(tag.rfind(' ') + 1);
  std::uint64_t rows = 0;
  const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), rows);
  if (error == std::errc{} && end == last.data() + last.size()) exchange_->slow_watch->count_rows(rows);
}

void Session::note_if_slow() {
  SlowWatch& watch = *exchange_->slow_watch;
  const SlowWatch::Asked asked = watch.answered();
  const base::Duration duration = home_.loop.now() - exchange_->request_since;
  const base::Duration waited = std::exchange(watch.waited, base::Duration{0});
  const std::uint64_t bytes = std::exchange(watch.bytes, 0);
  const std::chrono::milliseconds limit = slow_limit();
  if (limit.count() == 0 || duration < limit) return;
  count(telemetry::PoolCount::kSlowQueries);
  const auto in_us = [](base::Duration time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time);
  };
  home_.slow_log->report({.client = id_,
                          .tenant = identity_->tenant->id,
                          .user = identity_->user,
                          .database = identity_->database,
                          .application_name = identity_->application_name,
                          .duration = in_us(duration),
                          .wait = in_us(waited),
                          .rows = asked.rows,
                          .bytes = bytes,
                          .statements = asked.statements,
                          .text = std::string(asked.shown())},
                         home_.instructions.settings->log_slow_query_text == "full" ? SlowLog::Text::kFull
                                                                                    : SlowLog::Text::kForm);
}

}  // namespace penstock::session
