#include "actor.h"

#include <fmt/format.h>

#include <utility>

#include "token.h"

namespace penstock::load {

namespace {

constexpr auto kCancelMayHit = std::chrono::seconds(5);
constexpr auto kRetry = std::chrono::milliseconds(200);

}  // namespace

Actor::Actor(LoadLoop& loop, const LoadPlan& plan, Tally& tally, bench::ScramKeyCache& keys,
             std::uint32_t number)
    : loop_(loop),
      plan_(plan),
      tally_(tally),
      number_(number),
      random_(plan.seed * 1'000'003 + number),
      peer_(loop, plan, tally, keys, fmt::format("client {}", number)),
      application_name_(fmt::format("load-{}", number)) {
  for (const Action& action : all_actions()) {
    const bool wanted = plan.actions.empty() ? !action.needs_postgres || plan.admin.has_value()
                                             : plan.actions.contains(std::string(action.name));
    if (wanted) deck_.insert(deck_.end(), action.weight, &action);
  }
}

void Actor::start() {
  ++tally_.running;
  life_ = live();
  life_.start([this] { --tally_.running; });
}

Task<> Actor::live() {
  co_await loop_.sleep(std::chrono::milliseconds(below(1000)));  // not all at once
  while (!tally_.stopping) {
    const bool open = co_await ensure_open();
    if (open) co_await perform(pick());
    co_await loop_.sleep(std::chrono::microseconds(below(1000) * plan_.think.count()));
  }
  if (peer_.is_open()) (void)co_await peer_.finish();
}

Task<bool> Actor::ensure_open() {
  if (peer_.is_open()) co_return true;
  forget_connection();
  const Outcome outcome = co_await peer_.open(plan_.target, parameters());
  if (outcome == Outcome::kGood) co_return true;
  co_await loop_.sleep(kRetry);
  co_return false;
}

Peer::Parameters Actor::parameters() const {
  return {{"application_name", application_name_}, {"TimeZone", time_zone_}};
}

void Actor::forget_connection() {
  parsed_.clear();
}

const Actor::Action& Actor::pick() {
  return *deck_[below(static_cast<std::uint32_t>(deck_.size()))];
}

Task<> Actor::perform(const Action& action) {
  const Outcome outcome = co_await (this->*action.act)();
  judge(action, outcome);
  if (outcome == Outcome::kFailed) co_await recover();
}

void Actor::judge(const Action& action, Outcome outcome) {
  ActionCount& count = tally_.actions[std::string(action.name)];
  if (outcome == Outcome::kGood) {
    ++count.good;
    return;
  }
  const std::string& sqlstate = peer_.sqlstate();
  if (outcome != Outcome::kWrong && !sqlstate.empty()) {
    ++tally_.errors[sqlstate];
    const bool own_cancel = sqlstate == "57014" && loop_.now() - cancelled_at_ < kCancelMayHit;
    if (!own_cancel && !plan_.tolerated.contains(sqlstate)) {
      tally_.violation(fmt::format("client {}, {}: error {}", number_, action.name, sqlstate));
    }
  }
  ++(outcome == Outcome::kFailed ? count.failed : count.lost);
}

Task<> Actor::recover() {
  if (!peer_.is_open() || peer_.status() == 'I') co_return;
  Script script;
  script.command("ROLLBACK", "ROLLBACK");
  (void)co_await peer_.play(script);
}

std::string Actor::token() {
  return std::string(bench::Token(number_, serial_++).view());
}

}  // namespace penstock::load
