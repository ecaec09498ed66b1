// What a client of the load test does that lasts longer than a query: transactions, settings, its row, COPY.
#include <fmt/format.h>

#include <algorithm>

#include "actor.h"

namespace penstock::load {

Task<Outcome> Actor::transaction() {
  Script begin;
  begin.command("BEGIN", "BEGIN", 'T');
  Outcome outcome = co_await peer_.play(begin);
  std::string backend;
  for (unsigned i = 1 + below(3); i > 0 && outcome == Outcome::kGood; --i) {
    const std::string text = token();
    Script look;
    look.query(fmt::format(
        "SELECT current_setting('application_name') AS a, current_setting('TimeZone') AS z, '{}' AS t",
        text));
    look.expect_columns({"a", "z", "t"});
    look.expect_row({application_name_, time_zone_, text});
    look.expect_complete("SELECT 1");
    look.expect_ready('T');
    outcome = co_await peer_.play(look);
    if (outcome != Outcome::kGood) break;
    Script who;
    who.query("SELECT pg_backend_pid()::text AS p");
    who.expect_columns({"p"});
    who.expect_any_row();
    who.expect_complete("SELECT 1");
    who.expect_ready('T');
    outcome = co_await peer_.play(who);
    if (outcome != Outcome::kGood) break;
    if (!backend.empty() && backend != peer_.captured().at(0)) {
      tally_.violation(fmt::format("client {}: a transaction that moved to another server", number_));
    }
    backend = peer_.captured().at(0);
    co_await loop_.sleep(std::chrono::milliseconds(below(10)));
  }
  if (outcome != Outcome::kGood) co_return outcome;
  const std::string end = below(2) == 0 ? "COMMIT" : "ROLLBACK";
  Script finish;
  finish.command(end, end);
  co_return co_await peer_.play(finish);
}

Task<Outcome> Actor::change_setting() {
  static constexpr std::string_view kZones[] = {"Etc/UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York"};
  std::string name = "application_name";
  std::string value = fmt::format("load-{}-{}", number_, below(1000));
  if (below(2) == 0) {
    name = "TimeZone";
    value = kZones[below(std::size(kZones))];
  }
  peer_.allow_setting(name, value);
  Script script;
  script.command(fmt::format("SET {} = '{}'", name, value), "SET");
  const Outcome outcome = co_await peer_.play(script);
  if (outcome == Outcome::kGood) {
    (name == "TimeZone" ? time_zone_ : application_name_) = value;
    peer_.settle_setting(name, value);
  } else {
    peer_.drop(false);  // whether it was set is not known
  }
  co_return outcome;
}

Task<Outcome> Actor::setting_rolled_back() {
  peer_.allow_setting("TimeZone", "Africa/Cairo");
  Script script;
  script.command("BEGIN", "BEGIN", 'T');
  Outcome outcome = co_await peer_.play(script);
  for (const std::string_view sql : {"SET TimeZone = 'Africa/Cairo'", "ROLLBACK"}) {
    if (outcome != Outcome::kGood) break;
    Script step;
    const bool last = sql == "ROLLBACK";
    step.command(sql, last ? "ROLLBACK" : "SET", last ? 'I' : 'T');
    outcome = co_await peer_.play(step);
  }
  if (outcome != Outcome::kGood) {
    peer_.drop(false);
    co_return outcome;
  }
  peer_.settle_setting("TimeZone", time_zone_);
  co_return co_await transaction();
}

Task<Outcome> Actor::look_at_account(char status) {
  Script look;
  look.query(fmt::format("SELECT token || '' AS t FROM load_accounts WHERE id = {}", number_));
  look.expect_columns({"t"});
  look.expect_any_row();
  look.expect_complete("SELECT 1");
  look.expect_ready(status);
  const Outcome outcome = co_await peer_.play(look);
  if (outcome != Outcome::kGood) co_return outcome;
  const std::string found = peer_.captured().at(0).substr(6);  // one column: its count, its length
  if (std::ranges::find(account_, found) == account_.end()) {
    tally_.violation(
        fmt::format("client {}: its row holds {}, which it never wrote or rolled back", number_, found));
  }
  account_ = {found};
  co_return outcome;
}

Task<Outcome> Actor::account() {
  Outcome outcome = co_await look_at_account('I');
  if (outcome != Outcome::kGood) co_return outcome;
  const std::vector<std::string> before = account_;
  const std::string text = token();
  const bool commit = below(2) == 0;

  Script begin;
  begin.command("BEGIN", "BEGIN", 'T');
  outcome = co_await peer_.play(begin);
  if (outcome != Outcome::kGood) co_return outcome;
  Script update;
  update.command(fmt::format("UPDATE load_accounts SET token = '{}' WHERE id = {}", text, number_),
                 "UPDATE 1", 'T');
  outcome = co_await peer_.play(update);
  if (outcome != Outcome::kGood) co_return outcome;
  account_ = {text};
  outcome = co_await look_at_account('T');
  account_ = before;
  if (outcome != Outcome::kGood) co_return outcome;

  if (commit) account_.push_back(text);  // until the answer says so, both are possible
  Script end;
  end.command(commit ? "COMMIT" : "ROLLBACK", commit ? "COMMIT" : "ROLLBACK");
  outcome = co_await peer_.play(end);
  if (outcome != Outcome::kGood) co_return outcome;
  if (commit) account_ = {text};
  co_return co_await look_at_account('I');
}

Task<Outcome> Actor::begin_copy() {
  Script begin;
  begin.command("BEGIN", "BEGIN", 'T');
  Outcome outcome = co_await peer_.play(begin);
  if (outcome != Outcome::kGood) co_return outcome;
  Script table;
  table.command("CREATE TEMP TABLE load_copy (t text) ON COMMIT DROP", "CREATE TABLE", 'T');
  outcome = co_await peer_.play(table);
  if (outcome != Outcome::kGood) co_return outcome;
  Script copy;
  copy.query("COPY load_copy FROM STDIN");
  copy.expect('G', std::string_view("\0\0\1\0\0", 5));
  co_return co_await peer_.play(copy);
}

Task<Outcome> Actor::copy() {
  Outcome outcome = co_await begin_copy();
  if (outcome != Outcome::kGood) co_return outcome;
  const unsigned lines = 1 + below(3000);
  const std::string text = token();
  Script in;
  for (unsigned i = 0; i < lines; ++i) in.copy_data(text + '\n');
  in.copy_done();
  in.expect_complete(fmt::format("COPY {}", lines));
  in.expect_ready('T');
  outcome = co_await peer_.play(in);
  if (outcome != Outcome::kGood) co_return outcome;

  Script out;
  out.query("COPY load_copy TO STDOUT");
  out.expect('H', std::string_view("\0\0\1\0\0", 5));
  for (unsigned i = 0; i < lines; ++i) out.expect_copy_line(text + '\n');
  out.expect('c');
  out.expect_complete(fmt::format("COPY {}", lines));
  out.expect_ready('T');
  outcome = co_await peer_.play(out);
  if (outcome != Outcome::kGood) co_return outcome;
  const std::string_view end = below(2) == 0 ? "COMMIT" : "ROLLBACK";
  Script finish;
  finish.command(end, end);
  co_return co_await peer_.play(finish);
}

}  // namespace penstock::load
