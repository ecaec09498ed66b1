#include "admin/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "admin/json_text.h"
#include "admin/problem.h"
#include "admin/schema.h"
#include "base/utf8.h"
#include "config/suggest.h"
#include "telemetry/log.h"

namespace penstock::admin {

namespace json = boost::json;
namespace log = telemetry::log;

namespace {

constexpr unsigned kJsonDepthMax = 16;

bool is_placeholder(std::string_view part) {
  return part.starts_with('{');
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  return std::ranges::equal(pattern, path, [](const std::string& expected, const std::string& part) {
    return is_placeholder(expected) || expected == part;
  });
}

std::optional<std::string> bearer_of(const http::Request& request) {
  std::string_view text = request.header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (text.size() < kBearer.size()) return std::nullopt;
  for (std::size_t i = 0; i < kBearer.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (c != kBearer[i]) return std::nullopt;
  }
  // As Supavisor: percent-encoded or with spaces around it, a token is still the token.
  std::optional<std::string> token = http::percent_decode(text.substr(kBearer.size()));
  if (token) std::erase_if(*token, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  return token;
}

bool takes_json(std::string_view accept) {
  return accept.empty() || accept.find("*/*") != std::string_view::npos ||
         accept.find("application/*") != std::string_view::npos ||
         accept.find("json") != std::string_view::npos;
}

// Who mistypes "dry_run" must not make happen what they only wanted to see.
std::optional<std::string> refuse_unknown(const Route& route, const std::string& name,
                                          const std::string& value) {
  const bool is_open = route.scope == auth::Scope::kNone || route.scope == auth::Scope::kMetrics;
  if (is_open || name == "_") return std::nullopt;  // somebody's cache buster
  if (name == "dry_run") {
    if (value == "false" || route.scope != auth::Scope::kWrite) return std::nullopt;
    return "cannot be had here: this call has no dry run";
  }
  std::vector<std::string_view> known;
  for (const QueryParameter& parameter : route.query) known.push_back(parameter.name);
  const std::string_view nearest = config::nearest(name, known);
  if (nearest.empty()) return "is not known";
  return fmt::format("is not known; did you mean \"{}\"?", nearest);
}

std::optional<http::Response> check_query(const Route& route, const http::Uri& uri) {
  FieldErrors errors;
  for (const auto& [name, value] : uri.query) {
    const auto known = std::ranges::find(route.query, name, &QueryParameter::name);
    if (!base::is_utf8(value)) {
      errors[name].push_back("must be text in UTF-8");
    } else if (known == route.query.end()) {
      if (auto refusal = refuse_unknown(route, name, value)) errors[name].push_back(std::move(*refusal));
    } else if (known->type == "integer") {
      std::int64_t number = -1;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc{} || end != value.data() + value.size() || number < 0 || number > known->most) {
        errors[name].push_back("must be a whole number, 0 to " + std::to_string(known->most));
      }
    } else if (known->type == "boolean" && value != "true" && value != "false") {
      errors[name].push_back("must be true or false");
    }
  }
  if (errors.empty()) return std::nullopt;
  return problem(errors);
}

// An order whose body were passed over would do something else than it says. What is only read, nobody can mistake.
std::optional<http::Response> refuse_body(const Route& route, std::string_view body) {
  std::string text(body);
  std::erase_if(text, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  if (route.method == "GET" || text.empty() || text == "{}") return std::nullopt;
  std::string hint;
  for (const QueryParameter& parameter : route.query) {
    hint += fmt::format("{}?{}=…", hint.empty() ? "Its parameters stand in the URL: " : ", ", parameter.name);
  }
  if (!hint.empty()) hint += '.';
  return problem(422, "this call takes no body", hint);
}

std::expected<json::value, http::Response> read_body(const Route& route, const http::Request& request) {
  if (route.body.empty()) {
    if (auto refusal = refuse_body(route, request.body)) return std::unexpected(std::move(*refusal));
    return json::value();
  }
  if (route.body_optional && request.body.empty()) return json::value();
  const std::string_view type = request.header("content-type");
  if (!type.empty() && type.find("json") == std::string_view::npos) {
    return std::unexpected(problem(415, "the body must be JSON", "Send \"Content-Type: application/json\"."));
  }
  json::error_code error;
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  json::value body = json::parse(request.body, error, {}, options);
  if (error) return std::unexpected(problem(400, "the body is not valid JSON: " + error.message()));
  FieldErrors errors;
  check(schemas().at(route.body), body, "", errors);
  if (!errors.empty()) return std::unexpected(problem(errors));
  return body;
}

}  // namespace

bool RateLimit::admit(const std::string& address, int per_second, Clock::time_point now) {
  if (per_second <= 0) return true;
  const auto each = std::chrono::duration_cast<Clock::duration>(std::chrono::seconds(1)) / per_second;
  if (last_.size() >= kAddressesMax) {
    std::erase_if(last_, [&](const auto& entry) { return entry.second + each < now; });
    if (last_.size() >= kAddressesMax) last_.clear();
  }
  Clock::time_point& last = last_[address];
  const Clock::time_point next = std::max(last, now - kBurst) + each;
  if (next > now) return false;
  last = next;
  return true;
}

std::size_t Call::number(std::string_view name, std::size_t preset) const {
  const std::string* value = uri.parameter(name);
  if (value == nullptr) return preset;
  std::size_t number = preset;
  std::from_chars(value->data(), value->data() + value->size(), number);
  return number;
}

bool Call::flag(std::string_view name) const {
  const std::string* value = uri.parameter(name);
  return value != nullptr && *value == "true";
}

std::string Call::text(std::string_view name) const {
  const std::string* value = uri.parameter(name);
  return value == nullptr ? std::string() : *value;
}

void Call::answer(const json::value& value, int status, http::Headers headers) {
  respond({.status = status,
           .content_type = "application/json; charset=utf-8",
           .body = json_text(value),
           .headers = std::move(headers)});
}

Router::Router(Routes routes, std::function<std::shared_ptr<const auth::TokenRules>()> rules,
               std::function<int()> requests_per_second)
    : routes_(std::move(routes)),
      rules_(std::move(rules)),
      requests_per_second_(std::move(requests_per_second)) {
  for (const Route& route : routes_) {
    // Placeholders are no valid targets; their braces are taken as they are.
    std::vector<std::string> parts;
    std::string_view rest = route.path.substr(1);
    while (!rest.empty()) {
      const std::size_t slash = std::min(rest.find('/'), rest.size());
      parts.emplace_back(rest.substr(0, slash));
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
    patterns_.push_back(std::move(parts));
  }
}

// Adds to each answer what all have, and writes down what was tried. "Done" is said when it is done everywhere.
http::Respond Router::wrap(const Call& call, const Route& route, http::Respond respond) {
  return [this, respond = std::move(respond), method = call.request.method, target = call.request.target,
          subject = call.grant.subject, id = call.grant.id, peer = call.request.peer,
          may_change = route.scope == auth::Scope::kWrite](http::Response response) mutable {
    // The web page's files may be kept, but not without asking: they come with the next version.
    response.headers.emplace_back("Cache-Control", response.constant_body.empty() ? "no-store" : "no-cache");
    response.headers.emplace_back("X-Content-Type-Options", "nosniff");
    if (!may_change) return respond(std::move(response));
    log::info("api.call", {{"method", method},
                           {"target", target},
                           {"status", response.status},
                           {"subject", subject},
                           {"token", id},
                           {"peer", peer}});
    // 202: it has only begun.
    const bool is_done = response.status < 300 && response.status != 202;
    if (!is_done) return respond(std::move(response));
    settle([respond = std::move(respond), response = std::move(response)]() mutable {
      respond(std::move(response));
    });
  };
}

std::expected<const Route*, http::Response> Router::find(Call& call) const {
  const std::string_view method =
      call.request.method == "HEAD" ? "GET" : std::string_view(call.request.method);
  std::string allowed;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (!matches(patterns_[i], call.uri.path)) continue;
    if (routes_[i].method != method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(routes_[i].method);
      continue;
    }
    for (std::size_t part = 0; part < patterns_[i].size(); ++part) {
      const std::string& name = patterns_[i][part];
      if (is_placeholder(name)) call.path[name.substr(1, name.size() - 2)] = call.uri.path[part];
    }
    return &routes_[i];
  }
  if (allowed.empty()) {
    return std::unexpected(
        problem(404, "there is nothing at this path", "GET /api/openapi tells what there is."));
  }
  http::Response response = problem(405, "this path takes " + allowed);
  response.headers.emplace_back("Allow", allowed);
  return std::unexpected(std::move(response));
}

// Of a route that needs no token: what one says that is good, for an answer that may say more.
auth::Grant Router::shown_grant(const Call& call) const {
  const auto token = bearer_of(call.request);
  if (!token) return {};
  return auth::verify_token(*rules_(), *token, std::chrono::system_clock::now()).value_or(auth::Grant{});
}

std::expected<auth::Grant, http::Response> Router::admit(const Route& route, const Call& call) const {
  if (route.scope == auth::Scope::kNone) return shown_grant(call);
  if (route.scope == auth::Scope::kMetrics && metrics_are_open()) return auth::Grant{};
  const auto rules = rules_();
  if (rules->knows_nobody()) {
    return std::unexpected(problem(403, "no key for tokens is configured",
                                   "Set api.token_secret_file or api.token_public_key_file."));
  }
  const auto token = bearer_of(call.request);
  if (!token) {
    return std::unexpected(problem(403, "a token is needed", "Send it as \"Authorization: Bearer TOKEN\"."));
  }
  auto grant = auth::verify_token(*rules, *token, std::chrono::system_clock::now());
  if (!grant) return std::unexpected(problem(403, grant.error().message));
  if (!grant->allows(route.scope))
    return std::unexpected(problem(403, "the token's scope does not allow this"));
  const bool is_theirs =
      route.names_tenant() ? grant->allows_tenant(call.tenant()) : grant->tenants.empty() || route.filters;
  if (!is_theirs) return std::unexpected(problem(403, "the token is for other tenants"));
  return std::move(*grant);
}

void Router::handle(http::Request request, http::Respond respond) {
  if (!rate_limit_.admit(request.peer, requests_per_second_(), RateLimit::Clock::now())) {
    http::Response response = problem(429, "too many requests from this address");
    response.headers.emplace_back("Retry-After", "1");
    return respond(std::move(response));
  }
  auto uri = http::parse_target(request.target);
  if (!uri) return respond(problem(400, uri.error().message + ". " + uri.error().detail));
  for (const std::string& part : uri->path) {
    if (!base::is_utf8(part)) return respond(problem(400, "the path is not text in UTF-8"));
  }
  Call call{.request = std::move(request),
            .uri = std::move(*uri),
            .path = {},
            .body = {},
            .grant = {},
            .respond = {}};
  const auto route = find(call);
  if (!route) return respond(route.error());
  auto grant = admit(**route, call);
  if (grant) call.grant = std::move(*grant);
  call.respond = wrap(call, **route, std::move(respond));
  if (!grant) return call.respond(std::move(grant.error()));
  const bool is_json = std::ranges::any_of(
      (*route)->answers, [](const RouteAnswer& answer) { return answer.media_type == "application/json"; });
  if (is_json && !takes_json(call.request.header("accept"))) {
    return call.respond(problem(406, "the answer would be JSON, which the client does not take"));
  }
  if (auto refusal = check_query(**route, call.uri)) return call.respond(std::move(*refusal));
  auto body = read_body(**route, call.request);
  if (!body) return call.respond(std::move(body.error()));
  call.body = std::move(*body);
  (*route)->act(std::move(call));
}

}  // namespace penstock::admin
