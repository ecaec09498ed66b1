// Router finds the route of a request and lets it through only when token, rate, parameters and body are right.
//
// Owner:      Api.
// Home:       the control thread.
// Invariants: 1. No route acts on a request without a token that allows it, unless its scope is kNone.
//             2. Whoever is told that a change is done finds it done: the answer waits for the workers (bounded).
//             3. A parameter or field that a route does not have is refused, never passed over: it may have been what
//                made the call harmless ("dryrun").
//             4. Every request that may change something leaves a line "api.call" in the log, whatever its end.
// Errors:     problem documents: 400, 403, 404, 405, 406, 413, 415, 422, 429.
// Bounds:     kAddressesMax addresses are remembered for the rate.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>

#include "admin/route.h"

namespace penstock::admin {

// Lets so many requests a second through per address, and ten seconds' worth at once.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  bool admit(const std::string& address, int per_second, Clock::time_point now);

 private:
  static constexpr std::size_t kAddressesMax = 10'000;
  static constexpr std::chrono::seconds kBurst{10};
  // When the last request of an address would have come, had they come evenly.
  std::unordered_map<std::string, Clock::time_point> last_;
};

class Router {
 public:
  // `rules` is asked for each request: a reload changes it.
  Router(Routes routes, std::function<std::shared_ptr<const auth::TokenRules>()> rules,
         std::function<int()> requests_per_second);

  void handle(http::Request request, http::Respond respond);
  const Routes& routes() const { return routes_; }

  // Runs its argument when all workers follow what has been changed, so that who has the answer can rely on it.
  std::function<void(std::move_only_function<void()> then)> settle = [](auto then) { then(); };
  std::function<bool()> metrics_are_open = [] { return false; };

 private:
  // The route, or the answer why there is none.
  std::expected<const Route*, http::Response> find(Call& call) const;
  http::Respond wrap(const Call& call, const Route& route, http::Respond respond);
  std::expected<auth::Grant, http::Response> admit(const Route& route, const Call& call) const;
  auth::Grant shown_grant(const Call& call) const;
  Routes routes_;
  std::vector<std::vector<std::string>> patterns_;  // the paths of routes_, in parts
  std::function<std::shared_ptr<const auth::TokenRules>()> rules_;
  std::function<int()> requests_per_second_;
  RateLimit rate_limit_;
};

}  // namespace penstock::admin
