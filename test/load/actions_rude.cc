// What a client of the load test does to others' discomfort: it cancels, and it leaves at the worst moments.
//
// A client that leaves checks nothing itself: the next one on the same server connection does.
#include <fmt/format.h>

#include "actor.h"

namespace penstock::load {

Task<Outcome> Actor::cancelled_query() {
  const std::string text = token();
  Script script;
  script.query(fmt::format("SELECT '{}' AS t, pg_sleep(20)::text AS s", text));
  script.expect_columns({"t", "s"});
  script.or_nothing();  // when it was cancelled before it began
  script.expect_error("57014");
  script.expect_ready();
  const Outcome sent = co_await peer_.send(script.bytes());
  if (sent != Outcome::kGood) co_return sent;
  co_await loop_.sleep(std::chrono::milliseconds(5 + below(300)));
  cancelled_at_ = loop_.now() + plan_.stuck_after;  // on its way: may hit until its answer has come
  const Outcome delivered = co_await peer_.cancel(plan_.target);
  if (delivered != Outcome::kGood) {
    peer_.drop(true);
    co_return delivered;
  }
  const Outcome outcome = co_await peer_.check(script);
  cancelled_at_ = loop_.now();
  if (outcome == Outcome::kGood) ++tally_.cancels_hit;
  co_return outcome;
}

Task<Outcome> Actor::leave_mid_query() {
  const std::string text = token();
  base::ByteWriter out;
  bench::write_query(out, fmt::format("SELECT '{}' AS t, pg_sleep({}.5)::text AS s", text, below(3)));
  const Outcome sent = co_await peer_.send(base::as_text(out.view()));
  if (sent != Outcome::kGood) co_return sent;
  co_await loop_.sleep(std::chrono::milliseconds(below(400)));
  peer_.drop(below(2) == 0);
  co_return Outcome::kGood;
}

Task<Outcome> Actor::leave_mid_result() {
  base::ByteWriter out;
  bench::write_query(out, fmt::format("SELECT '{}' AS t FROM generate_series(1, 100000)", token()));
  const Outcome sent = co_await peer_.send(base::as_text(out.view()));
  if (sent != Outcome::kGood) co_return sent;
  (void)co_await peer_.swallow(1 + below(500'000));
  peer_.drop(below(2) == 0);
  co_return Outcome::kGood;
}

Task<Outcome> Actor::leave_mid_transaction() {
  Script begin;
  begin.command("BEGIN", "BEGIN", 'T');
  Outcome outcome = co_await peer_.play(begin);
  if (outcome != Outcome::kGood) co_return outcome;
  if (plan_.admin) {
    Script update;
    update.command(fmt::format("UPDATE load_accounts SET token = '{}' WHERE id = {}", token(), number_),
                   "UPDATE 1", 'T');
    outcome = co_await peer_.play(update);
    if (outcome != Outcome::kGood) co_return outcome;
  }
  co_await loop_.sleep(std::chrono::milliseconds(below(50)));
  peer_.drop(below(2) == 0);
  co_return Outcome::kGood;
}

Task<Outcome> Actor::leave_mid_copy() {
  const Outcome outcome = co_await begin_copy();
  if (outcome != Outcome::kGood) co_return outcome;
  Script in;
  for (unsigned i = below(500); i > 0; --i) in.copy_data(token() + '\n');
  (void)co_await peer_.send(in.bytes());
  peer_.drop(below(2) == 0);
  co_return Outcome::kGood;
}

Task<Outcome> Actor::leave_mid_message() {
  Script script;
  script.parse("", "SELECT $1::text AS t");
  script.bind("", token());
  script.execute();
  script.sync();
  const std::string_view bytes = script.bytes();
  (void)co_await peer_.send(bytes.substr(0, 1 + below(static_cast<std::uint32_t>(bytes.size() - 1))));
  co_await loop_.sleep(std::chrono::milliseconds(below(50)));
  peer_.drop(below(2) == 0);
  co_return Outcome::kGood;
}

Task<Outcome> Actor::reconnect() {
  co_return co_await peer_.finish();
}

std::span<const Actor::Action> Actor::all_actions() {
  static constexpr Action kActions[] = {
      {"simple", 20, &Actor::simple, false},
      {"several statements", 6, &Actor::several_statements, false},
      {"failing statement", 5, &Actor::failing_statement, false},
      {"many rows", 5, &Actor::many_rows, false},
      {"one big row", 4, &Actor::one_big_row, false},
      {"slow reader", 1, &Actor::slow_reader, false},
      {"unnamed", 15, &Actor::unnamed, false},
      {"prepared", 20, &Actor::prepared, false},
      {"forget statement", 4, &Actor::forget_statement, false},
      {"pipeline", 10, &Actor::pipeline, false},
      {"failing pipeline", 5, &Actor::failing_pipeline, true},
      {"syncs in one write", 5, &Actor::syncs_in_one_write, false},
      {"flush without sync", 4, &Actor::flush_without_sync, false},
      {"portal in parts", 4, &Actor::portal_in_parts, false},
      {"transaction", 12, &Actor::transaction, false},
      {"change setting", 5, &Actor::change_setting, false},
      {"setting rolled back", 3, &Actor::setting_rolled_back, true},
      {"account", 10, &Actor::account, true},
      {"copy", 5, &Actor::copy, true},
      {"cancelled query", 3, &Actor::cancelled_query, false},
      {"leave mid-query", 2, &Actor::leave_mid_query, false},
      {"leave mid-result", 2, &Actor::leave_mid_result, false},
      {"leave mid-transaction", 2, &Actor::leave_mid_transaction, false},
      {"leave mid-copy", 2, &Actor::leave_mid_copy, true},
      {"leave mid-message", 2, &Actor::leave_mid_message, false},
      {"reconnect", 2, &Actor::reconnect, false},
  };
  return kActions;
}

}  // namespace penstock::load
