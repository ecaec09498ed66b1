// Script: what a client sends in one go, and, message by message and byte by byte, what must come back.
//
// Home: pure.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "wire.h"

namespace penstock::load {

struct Expected {
  enum class Kind : std::uint8_t {
    kExact,    // exactly these bytes: type, then body
    kMaybe,    // the same, or nothing
    kError,    // an ErrorResponse with this SQLSTATE
    kCapture,  // a row, whatever is in it
  };
  Kind kind;
  std::string bytes;
};

class Script {
 public:
  // --- one call per thing sent; each adds its answers, but for ReadyForQuery ---
  void query(std::string_view sql) { bench::write_query(out_, sql); }
  void parse(std::string_view name, std::string_view sql);
  void bind(std::string_view statement, std::string_view parameter);
  void describe_portal() { bench::write_describe(out_, 'P', ""); }
  void execute(std::uint32_t rows_max = 0) { bench::write_execute(out_, rows_max); }
  void close_statement(std::string_view name);
  void flush() { bench::write_bare(out_, 'H'); }
  void sync(char status = 'I');
  // Messages that are never answered, because they come after an error.
  void unanswered(std::string_view bytes) { out_.raw(bytes); }
  void copy_data(std::string_view line);
  void copy_done() { bench::write_bare(out_, 'c'); }

  // --- what comes back ---
  void expect(char type, std::string_view body = {});
  void expect_columns(std::initializer_list<std::string_view> names);
  // What was expected last may be missing.
  void or_nothing() { expected_.back().kind = Expected::Kind::kMaybe; }
  void expect_row(std::initializer_list<std::string_view> values);
  void expect_any_row() { expected_.push_back({Expected::Kind::kCapture, {}}); }
  void expect_complete(std::string_view tag);
  void expect_copy_line(std::string_view line);
  void expect_error(std::string_view sqlstate) {
    expected_.push_back({Expected::Kind::kError, std::string(sqlstate)});
  }
  void expect_ready(char status = 'I') { expect('Z', std::string_view(&status, 1)); }

  // A simple query with one text column `t` and its rows.
  void select(std::string_view sql, std::string_view value, std::uint64_t rows = 1);
  // A statement that returns no rows.
  void command(std::string_view sql, std::string_view tag, char status = 'I');

  std::string_view bytes() const { return base::as_text(out_.view()); }
  const std::vector<Expected>& expected() const { return expected_; }

 private:
  base::ByteWriter out_;
  std::vector<Expected> expected_;
};

// Checker compares what arrives with what a Script expects.
//
// Owner: Peer, for one exchange.
class Checker {
 public:
  enum class State {
    kMore,     // all as expected so far
    kDone,     // everything has come
    kFailing,  // an error nobody expected; the rest up to the last ReadyForQuery is skipped
    kFailed,   // … and that has come
    kWrong,    // this answer is not that of the question
  };
  explicit Checker(const Script& script);

  // `type` is never that of a ParameterStatus, notice or notification.
  State take(char type, std::string_view body);

  State state() const { return state_; }
  const std::string& sqlstate() const { return sqlstate_; }    // of the unexpected error
  const std::string& complaint() const { return complaint_; }  // what is wrong
  char status() const { return status_; }                      // of the last ReadyForQuery
  const std::vector<std::string>& captured() const { return captured_; }

 private:
  void check(const Expected& expected, char type, std::string_view body);
  void wrong(const Expected& expected, char type, std::string_view body);

  const std::vector<Expected>& expected_;
  std::size_t next_ = 0;
  std::size_t ready_left_ = 0;
  State state_ = State::kMore;
  char status_ = '?';
  std::string sqlstate_;
  std::string complaint_;
  std::vector<std::string> captured_;
};

// Bytes as a reader can bear them: printable, shortened.
std::string shown(std::string_view bytes);

}  // namespace penstock::load
