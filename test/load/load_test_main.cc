// load_test: many clients doing everything a client may do, at once, while servers are killed; every byte is
// checked.
//
// Standard output: one line of JSON. Exit code 1 when anything was wrong, 2 when it could not run.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "actor.h"

namespace {

using namespace penstock;
using namespace penstock::load;

constexpr auto kGoodbyeMax = std::chrono::seconds(90);

LoadPlan read_plan(int argc, char** argv) {
  LoadPlan plan;
  std::string target = "127.0.0.1:6432";
  std::string admin;
  std::vector<std::string> actions;
  std::vector<std::string> tolerated;
  unsigned kill_ms = 250;
  unsigned think_ms = 200;
  unsigned stuck_s = 60;
  bool list = false;
  CLI::App app{"Clients that do everything at once and check every byte of every answer."};
  app.add_option("--target", target, "the pooler: address:port or socket path");
  app.add_option("--admin", admin,
                 "Postgres itself, to kill its connections there; without it nothing is killed");
  app.add_option("--clients", plan.clients)->check(CLI::Range(1, 19'000));
  app.add_option("--seconds", plan.seconds);
  app.add_option("--seed", plan.seed, "of everything random here");
  app.add_option("--kill-ms", kill_ms, "between two kills; 0: none");
  app.add_option("--think-ms", think_ms, "at most, between two actions of a client");
  app.add_option("--stuck-s", stuck_s, "no answer for so long is a violation");
  app.add_option("--user", plan.user);
  app.add_option("--password", plan.password);
  app.add_option("--database", plan.database);
  app.add_option("--action", actions, "only these; may be repeated");
  app.add_option("--tolerate", tolerated, "a SQLSTATE that killed servers may show as; may be repeated");
  app.add_flag("--list", list, "the actions there are");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (list) {
    for (const Actor::Action& action : Actor::all_actions()) fmt::print("{}\n", action.name);
    std::exit(0);
  }
  const auto to = bench::Endpoint::parse(target);
  if (!to) bench::die("not an address: " + target);
  plan.target = *to;
  plan.admin = bench::Endpoint::parse(admin);
  plan.kill_every = std::chrono::milliseconds(kill_ms);
  plan.think = std::chrono::milliseconds(think_ms);
  plan.stuck_after = std::chrono::seconds(stuck_s);
  plan.actions = {actions.begin(), actions.end()};
  plan.tolerated.insert(tolerated.begin(), tolerated.end());
  return plan;
}

// Kills one server connection of the clients' user now and then, whatever it is doing.
Task<> kill_servers(LoadLoop& loop, const LoadPlan& plan, Tally& tally, Peer& admin) {
  while (!tally.stopping) {
    co_await loop.sleep(plan.kill_every);
    if (!admin.is_open()) {
      const Peer::Parameters parameters{{"application_name", "load-killer"}};
      const Outcome outcome = co_await admin.open(*plan.admin, parameters);
      if (outcome != Outcome::kGood) continue;
    }
    Script script;
    script.query(
        "SELECT count(pg_terminate_backend(pid))::text AS n FROM (SELECT pid FROM pg_stat_activity WHERE "
        "backend_type = 'client backend' AND application_name <> 'load-killer' AND usename = current_user "
        "ORDER BY random() LIMIT 1) victim");
    script.expect_columns({"n"});
    script.expect_any_row();
    script.expect_complete("SELECT 1");
    script.expect_ready();
    if (co_await admin.play(script) == Outcome::kGood) ++tally.kills;
  }
  if (admin.is_open()) (void)co_await admin.finish();
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

std::string penstock::load::to_json(const Tally& tally) {
  std::vector<std::string> actions;
  for (const auto& [name, count] : tally.actions) {
    actions.push_back(fmt::format(R"("{}": {{"good": {}, "failed": {}, "lost": {}}})", name, count.good,
                                  count.failed, count.lost));
  }
  std::vector<std::string> errors;
  for (const auto& [code, count] : tally.errors)
    errors.push_back(fmt::format("{}: {}", ::quoted(code), count));
  std::vector<std::string> violations;
  for (const std::string& what : tally.first_violations) violations.push_back(::quoted(what));
  return fmt::format(
      R"({{"violations": {}, "first_violations": [{}], "exchanges": {}, "late_errors": {}, "messages": {}, "bytes": {}, "connects": {}, )"
      R"("connects_failed": {}, "kills": {}, "cancels": {}, "cancels_hit": {}, "errors": {{{}}}, "actions": {{{}}}}})",
      tally.violations, fmt::join(violations, ", "), tally.exchanges, tally.late_errors, tally.messages,
      tally.bytes, tally.connects, tally.connects_failed, tally.kills, tally.cancels, tally.cancels_hit,
      fmt::join(errors, ", "), fmt::join(actions, ", "));
}

int main(int argc, char** argv) {
  const LoadPlan plan = read_plan(argc, argv);
  bench::raise_file_limit();
  LoadLoop loop;
  Tally tally;
  bench::ScramKeyCache keys(plan.password);
  std::vector<std::unique_ptr<Actor>> actors;
  for (unsigned i = 0; i < plan.clients; ++i) {
    actors.push_back(std::make_unique<Actor>(loop, plan, tally, keys, i));
    actors.back()->start();
  }
  Peer admin(loop, plan, tally, keys, "killer");
  Task<> killer;
  if (plan.admin && plan.kill_every.count() > 0) {
    killer = kill_servers(loop, plan, tally, admin);
    killer.start([] {});
  }
  loop.run_until(Clock::now() +
                 std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(plan.seconds)));
  tally.stopping = true;
  const auto last = Clock::now() + kGoodbyeMax;
  while (tally.running > 0 && Clock::now() < last)
    loop.run_until(Clock::now() + std::chrono::milliseconds(100));
  if (tally.running > 0) tally.violation(fmt::format("{} clients never came to an end", tally.running));
  if (tally.exchanges == 0) tally.violation("nothing was exchanged");
  fmt::print("{}\n", to_json(tally));
  return tally.violations > 0 ? 1 : 0;
}
