#include "script.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::load {

void Script::parse(std::string_view name, std::string_view sql) {
  bench::write_parse(out_, name, sql);
  expect('1');
}

void Script::bind(std::string_view statement, std::string_view parameter) {
  bench::write_bind(out_, statement, parameter);
  expect('2');
}

void Script::close_statement(std::string_view name) {
  bench::write_close_statement(out_, name);
  expect('3');
}

void Script::sync(char status) {
  bench::write_bare(out_, 'S');
  expect_ready(status);
}

void Script::copy_data(std::string_view line) {
  bench::MessageWriter(out_, 'd')->raw(line);
}

void Script::expect(char type, std::string_view body) {
  expected_.push_back({Expected::Kind::kExact, type + std::string(body)});
}

void Script::expect_columns(std::initializer_list<std::string_view> names) {
  base::ByteWriter body;
  body.be16(static_cast<std::uint16_t>(names.size()));
  for (const std::string_view name : names) {
    body.cstring(name);
    body.be32(0);            // no table
    body.be16(0);            // no column of one
    body.be32(25);           // text
    body.be16(0xffff);       // of any length
    body.be32(0xffffffffU);  // no modifier
    body.be16(0);            // as text
  }
  expect('T', base::as_text(body.view()));
}

void Script::expect_row(std::initializer_list<std::string_view> values) {
  base::ByteWriter body;
  body.be16(static_cast<std::uint16_t>(values.size()));
  for (const std::string_view value : values) {
    body.be32(static_cast<std::uint32_t>(value.size()));
    body.raw(value);
  }
  expect('D', base::as_text(body.view()));
}

void Script::expect_complete(std::string_view tag) {
  expect('C', std::string(tag) + '\0');
}

void Script::expect_copy_line(std::string_view line) {
  expect('d', line);
}

void Script::select(std::string_view sql, std::string_view value, std::uint64_t rows) {
  query(sql);
  expect_columns({"t"});
  for (std::uint64_t i = 0; i < rows; ++i) expect_row({value});
  expect_complete(fmt::format("SELECT {}", rows));
}

void Script::command(std::string_view sql, std::string_view tag, char status) {
  query(sql);
  expect_complete(tag);
  expect_ready(status);
}

Checker::Checker(const Script& script) : expected_(script.expected()) {
  ready_left_ = static_cast<std::size_t>(std::ranges::count_if(expected_, [](const Expected& each) {
    return each.kind == Expected::Kind::kExact && each.bytes[0] == 'Z';
  }));
  if (expected_.empty()) state_ = State::kDone;
}

Checker::State Checker::take(char type, std::string_view body) {
  if (type == 'Z') {
    status_ = body.empty() ? '?' : body[0];
    if (ready_left_ > 0) --ready_left_;
  }
  if (state_ == State::kFailing) {
    if (ready_left_ == 0) state_ = State::kFailed;
    return state_;
  }
  if (state_ != State::kMore) {
    complaint_ = fmt::format("message '{}' after the end of the answer: {}", type, shown(body));
    return state_ = State::kWrong;
  }
  if (const Expected& maybe = expected_[next_]; maybe.kind == Expected::Kind::kMaybe) {
    if (maybe.bytes[0] != type || std::string_view(maybe.bytes).substr(1) != body) ++next_;
  }
  const Expected& expected = expected_[next_++];
  check(expected, type, body);
  if (state_ == State::kMore && next_ == expected_.size()) state_ = State::kDone;
  return state_;
}

void Checker::check(const Expected& expected, char type, std::string_view body) {
  if (type == 'E') {
    sqlstate_ = bench::read_error(body).sqlstate;
    const bool foreseen = expected.kind == Expected::Kind::kError && sqlstate_ == expected.bytes;
    if (foreseen) {
      sqlstate_.clear();
    } else {
      state_ = ready_left_ == 0 ? State::kFailed : State::kFailing;
    }
    return;
  }
  switch (expected.kind) {
    case Expected::Kind::kExact:
    case Expected::Kind::kMaybe:
      if (expected.bytes[0] != type || std::string_view(expected.bytes).substr(1) != body)
        wrong(expected, type, body);
      break;
    case Expected::Kind::kCapture:
      if (type != 'D') return wrong(expected, type, body);
      captured_.emplace_back(body);
      break;
    case Expected::Kind::kError:
      wrong(expected, type, body);
      break;
  }
}

void Checker::wrong(const Expected& expected, char type, std::string_view body) {
  state_ = State::kWrong;
  complaint_ =
      fmt::format("expected {}{}, got '{}' {}", expected.kind == Expected::Kind::kError ? "error " : "",
                  shown(expected.bytes), type, shown(body));
}

std::string shown(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 120)) {
    if (c >= ' ' && c < 127) {
      text += c;
    } else if (text.empty() || text.back() != '.') {
      text += '.';
    }
  }
  return bytes.size() > 120 ? fmt::format("{}… ({} bytes)", text, bytes.size()) : text;
}

}  // namespace penstock::load
