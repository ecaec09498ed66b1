// What a client of the load test asks: queries of every kind, one at a time and in pipelines.
#include <fmt/format.h>

#include <algorithm>

#include "actor.h"

namespace penstock::load {

namespace {

constexpr unsigned kStatements = 12;  // named ones; half of the texts are shared by all clients

}  // namespace

Task<Outcome> Actor::simple() {
  const std::string text = token();
  Script script;
  script.select(fmt::format("SELECT '{}' AS t", text), text);
  script.expect_ready();
  co_return co_await peer_.play(script);
}

Task<Outcome> Actor::several_statements() {
  const std::string first = token();
  const std::string second = token();
  Script script;
  script.query(fmt::format("SELECT '{}' AS t; SELECT '{}' AS t", first, second));
  for (const std::string& text : {first, second}) {
    script.expect_columns({"t"});
    script.expect_row({text});
    script.expect_complete("SELECT 1");
  }
  script.expect_ready();
  co_return co_await peer_.play(script);
}

Task<Outcome> Actor::failing_statement() {
  Script script;
  script.query("SELECT 1/0 AS t");
  script.expect_error("22012");
  script.expect_ready();
  const Outcome outcome = co_await peer_.play(script);
  co_return outcome == Outcome::kGood ? co_await simple() : outcome;
}

Task<Outcome> Actor::many_rows() {
  const std::string text = token();
  const std::uint64_t rows = 1 + below(2000);
  Script script;
  script.select(fmt::format("SELECT '{}' AS t FROM generate_series(1, {})", text, rows), text, rows);
  script.expect_ready();
  co_return co_await peer_.play(script);
}

Task<Outcome> Actor::one_big_row() {
  const std::string text = token();
  const unsigned times = 1 + below(20'000);
  std::string big;
  for (unsigned i = 0; i < times; ++i) big += text;
  Script script;
  script.select(fmt::format("SELECT repeat('{}', {}) AS t", text, times), big);
  script.expect_ready();
  co_return co_await peer_.play(script);
}

Task<Outcome> Actor::slow_reader() {
  const std::string text = token();
  const std::uint64_t rows = 20'000;
  Script script;
  script.select(fmt::format("SELECT '{}' AS t FROM generate_series(1, {})", text, rows), text, rows);
  script.expect_ready();
  peer_.read_slowly(16 * 1024);
  const Outcome outcome = co_await peer_.play(script);
  peer_.read_slowly(0);
  co_return outcome;
}

void Actor::bind_and_execute(Script& script, std::string_view name, std::string_view value, bool describe) {
  script.bind(name, value);
  if (describe) {
    script.describe_portal();
    script.expect_columns({"t"});
  }
  script.execute();
  script.expect_row({value});
  script.expect_complete("SELECT 1");
}

Task<Outcome> Actor::unnamed() {
  Script script;
  script.parse("", "SELECT $1::text AS t");
  bind_and_execute(script, "", token(), true);
  script.sync();
  co_return co_await peer_.play(script);
}

std::string Actor::statement(Script& script) {
  const unsigned which = below(kStatements);
  std::string name = fmt::format("s{}", which);
  if (parsed_.insert(which).second) {
    const std::string whose = which % 2 == 0 ? std::string("all") : std::to_string(number_);
    script.parse(name, fmt::format("SELECT $1::text AS t /* {} of {} */", which, whose));
  }
  return name;
}

Task<Outcome> Actor::prepared() {
  Script script;
  const std::string name = statement(script);
  bind_and_execute(script, name, token(), below(2) == 0);
  script.sync();
  const Outcome outcome = co_await peer_.play(script);
  if (outcome == Outcome::kFailed) peer_.drop(false);  // whether it was parsed is not known
  co_return outcome;
}

Task<Outcome> Actor::forget_statement() {
  const unsigned which = below(kStatements);
  const std::string name = fmt::format("s{}", which);
  Script script;
  script.close_statement(name);
  script.sync();
  // From now on it must be unknown, however many other clients have one of the same text.
  base::ByteWriter bind;
  bench::write_bind(bind, name, token());
  bench::write_execute(bind);
  script.unanswered(base::as_text(bind.view()));
  script.expect_error("26000");
  script.sync();
  parsed_.erase(which);
  const Outcome outcome = co_await peer_.play(script);
  if (outcome == Outcome::kFailed) peer_.drop(false);
  co_return outcome;
}

Task<Outcome> Actor::pipeline() {
  Script script;
  for (unsigned i = 1 + below(20); i > 0; --i) {
    const std::string name = statement(script);
    bind_and_execute(script, name, token(), false);
  }
  script.sync();
  const Outcome outcome = co_await peer_.play(script);
  if (outcome == Outcome::kFailed) peer_.drop(false);
  co_return outcome;
}

Task<Outcome> Actor::failing_pipeline() {
  Script script;
  script.parse("", "SELECT $1::text AS t");
  bind_and_execute(script, "", token(), false);
  script.parse("", "SELECT 1/0 AS t");
  base::ByteWriter rest;
  bench::write_bind(rest, "", std::nullopt);
  bench::write_execute(rest);
  bench::write_bind(rest, "", token());
  bench::write_execute(rest);
  script.unanswered(base::as_text(rest.view()));  // Postgres divides while it plans, which is in the Bind
  script.expect_error("22012");
  script.sync();
  const Outcome outcome = co_await peer_.play(script);
  co_return outcome == Outcome::kGood ? co_await unnamed() : outcome;
}

Task<Outcome> Actor::syncs_in_one_write() {
  Script script;
  for (unsigned i = 0; i < 4; ++i) {
    script.parse("", "SELECT $1::text AS t");
    bind_and_execute(script, "", token(), i % 2 == 0);
    script.sync();
  }
  co_return co_await peer_.play(script);
}

Task<Outcome> Actor::flush_without_sync() {
  Script begun;
  begun.parse("", "SELECT $1::text AS t");
  const std::string text = token();
  begun.bind("", text);
  begun.flush();
  const Outcome outcome = co_await peer_.play(begun);
  if (outcome != Outcome::kGood) {
    peer_.drop(false);  // an error without Sync: nothing more will come
    co_return outcome;
  }
  co_await loop_.sleep(std::chrono::milliseconds(below(20)));
  Script ended;
  ended.execute();
  ended.expect_row({text});
  ended.expect_complete("SELECT 1");
  ended.sync();
  co_return co_await peer_.play(ended);
}

Task<Outcome> Actor::portal_in_parts() {
  constexpr unsigned kRows = 25;
  constexpr unsigned kPart = 10;
  const std::string text = token();
  Script script;
  script.parse("", fmt::format("SELECT $1::text AS t FROM generate_series(1, {})", kRows));
  script.bind("", text);
  for (unsigned left = kRows; left > 0;) {
    const unsigned part = std::min(left, kPart);
    script.execute(kPart);
    for (unsigned i = 0; i < part; ++i) script.expect_row({text});
    left -= part;
    if (left > 0) script.expect('s');
    if (left == 0) script.expect_complete(fmt::format("SELECT {}", part));
  }
  script.sync();
  co_return co_await peer_.play(script);
}

}  // namespace penstock::load
