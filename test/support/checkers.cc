#include "support/checkers.h"

#include <algorithm>

namespace penstock::sim {

namespace {

constexpr std::size_t kRemembered = 100;  // served requests, to compare with later ones

}  // namespace

std::string to_string(Rule rule) {
  static const char* const kNames[] = {"cross-talk",   "one ending",   "at most once",    "answered is done",
                                       "wrong answer", "transaction",  "client order",    "cancel fence",
                                       "limit",        "waiter order", "server protocol", "recovery",
                                       "drain"};
  return kNames[static_cast<std::size_t>(rule)];
}

void Verdict::violate(Rule rule, std::string text) {
  ++count_;
  rules_.insert(rule);
  if (texts_.size() < kViolationsMax) texts_.push_back(sim::to_string(rule) + ": " + std::move(text));
}

std::string Verdict::to_string() const {
  std::string result = fmt::format("{} violations", count_);
  for (const auto& text : texts_) result += "\n  " + text;
  return result;
}

void RequestChecker::asked(Token token) {
  if (!requests_.try_emplace(token).second) verdict_.violate(Rule::kOneEnding, token.text() + " asked twice");
}

void RequestChecker::ended(Token token, Ending ending) {
  Request& request = requests_[token];
  if (request.ending != Ending::kNone) verdict_.violate(Rule::kOneEnding, token.text() + " ended twice");
  request.ending = ending;
  if (ending == Ending::kAnswered && request.executions == 0) {
    verdict_.violate(Rule::kAnsweredIsDone, token.text() + " was answered but never executed");
  }
}

void RequestChecker::executed(Token token) {
  const auto request = requests_.find(token);
  if (request == requests_.end()) {
    return verdict_.violate(Rule::kServerProtocol, token.text() + " executed, but nobody asked");
  }
  if (++request->second.executions == 2)
    verdict_.violate(Rule::kAtMostOnce, token.text() + " executed twice");
}

void RequestChecker::check_all_ended() {
  for (const auto& [token, request] : requests_) {
    if (request.ending == Ending::kNone) verdict_.violate(Rule::kOneEnding, token.text() + " never ended");
  }
}

std::size_t RequestChecker::count(Ending ending) const {
  return static_cast<std::size_t>(std::count_if(requests_.begin(), requests_.end(),
                                                [&](const auto& r) { return r.second.ending == ending; }));
}

void IsolationChecker::executed(Token token, std::uint32_t backend, bool continues) {
  const auto [last, is_first] = last_of_backend_.try_emplace(backend, token.client);
  if (continues && !is_first && last->second != token.client) {
    verdict_.violate(Rule::kTransaction, fmt::format("{} in a transaction of client {} on backend {}",
                                                     token.text(), last->second, backend));
  }
  last->second = token.client;
  auto& newest = last_of_client_[token.client];
  if (token.number < newest) {
    verdict_.violate(Rule::kClientOrder, fmt::format("{} executed after number {}", token.text(), newest));
  }
  newest = std::max(newest, token.number);
}

void CancelChecker::hit(Token token) {
  if (!wanted_.contains(token.client)) unexplained_.insert(token);
}

void CancelChecker::lost(Token token) {
  wanted_.insert(token.client);
  unexplained_.erase(token);
}

void CancelChecker::check_all_hits() {
  for (const Token& token : unexplained_) {
    verdict_.violate(Rule::kCancelFence, token.text() + " cancelled, but its client asked for no cancel");
  }
}

void LimitChecker::opened(const std::string& name) {
  Limit& limit = limits_[name];
  if (++limit.open > limit.most) {
    verdict_.violate(Rule::kLimit,
                     fmt::format("{} connections for {}, {} allowed", limit.open, name, limit.most));
  }
}

void WaiterOrderChecker::sent(Token token, base::TimePoint at) {
  if (enabled_) waiting_.emplace(token, at);
}

void WaiterOrderChecker::served(Token token, base::TimePoint at) {
  const auto own = waiting_.find(token);
  if (own == waiting_.end()) return;
  const auto sent = own->second;
  waiting_.erase(own);
  if (!enabled_) return;
  for (const Served& other : served_) {
    if (sent + slack_ < other.sent && other.at + slack_ < at) {
      verdict_.violate(Rule::kWaiterOrder,
                       fmt::format("{} served before {}", other.token.text(), token.text()));
    }
  }
  served_.push_back({token, sent, at});
  if (served_.size() > kRemembered) served_.pop_front();
}

}  // namespace penstock::sim
