#include "auth/token.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "auth/crypto.h"
#include "auth/token_signature.h"
#include "base/bytes.h"

namespace penstock::auth {

namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr seconds kClockSkew{30};  // of nbf; exp is taken at its word

std::unexpected<base::Error> refuse(std::string why) {
  return base::fail(base::kInvalidAuthorization, std::move(why));
}

std::optional<json::object> parse_part(std::string_view part) {
  const std::optional<std::string> text = base64url_decode(part);
  if (!text) return std::nullopt;
  json::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  json::value value = json::parse(*text, error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string_view text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

enum class Signer : std::uint8_t { kNobody, kAnybodyElse, kMetrics };

// Whether the token stands in the list as a whole. Its signature does not count: of one of ES256 anybody can make a second
// that is as good.
bool is_denied(const TokenRules& rules, std::string_view signed_text) {
  const std::string beginning = std::string(signed_text) + '.';
  const auto found = rules.denied.lower_bound(beginning);
  return found != rules.denied.end() && found->starts_with(beginning);
}

Signer find_signer(const TokenRules& rules, Algorithm algorithm, std::string_view text,
                   std::string_view signature) {
  if (!is_symmetric(algorithm)) {
    const bool good = std::ranges::any_of(
        rules.public_keys, [&](const auto& key) { return verify_public(algorithm, *key, text, signature); });
    return good ? Signer::kAnybodyElse : Signer::kNobody;
  }
  const auto signed_with = [&](const std::string& secret) {
    return equal_in_constant_time(sign_hmac(algorithm, secret, text), signature);
  };
  if (std::ranges::any_of(rules.secrets, signed_with)) return Signer::kAnybodyElse;
  if (std::ranges::any_of(rules.metrics_secrets, signed_with)) return Signer::kMetrics;
  return Signer::kNobody;
}

// Seconds since 1970, whole or not; nothing when it is no such number.
std::optional<double> time_of(const json::value& value) {
  json::error_code error;
  const auto number = value.is_number() ? value.to_number<double>(error) : 0.0;
  if (error || !value.is_number()) return std::nullopt;
  return number;
}

base::Status check_times(const TokenRules& rules, const json::object& claims, WallTime now) {
  const double clock = std::chrono::duration<double>(now.time_since_epoch()).count();
  if (const json::value* expiry = claims.if_contains("exp")) {
    const auto time = time_of(*expiry);
    if (!time) return refuse("the token's expiry (exp) is no number");
    if (*time <= clock) return refuse("the token has expired");
  } else if (rules.needs_expiry) {
    return refuse("the token has no expiry (exp)");
  }
  if (const json::value* start = claims.if_contains("nbf")) {
    const auto time = time_of(*start);
    if (!time) return refuse("the token's beginning (nbf) is no number");
    if (*time > clock + static_cast<double>(kClockSkew.count())) return refuse("the token is not valid yet");
  }
  return {};
}

bool claim_is(const json::value& value, std::string_view wanted) {
  if (value.is_string()) return value.get_string() == wanted;
  if (value.is_array()) {  // "aud" may be a list
    return std::ranges::any_of(value.get_array(),
                               [&](const json::value& one) { return claim_is(one, wanted); });
  }
  return json::serialize(value) == wanted;
}

std::vector<std::string> texts_of(const json::value& value) {
  std::vector<std::string> texts;
  if (value.is_string()) texts.emplace_back(value.get_string());
  if (value.is_array()) {
    for (const json::value& one : value.get_array()) {
      if (one.is_string()) texts.emplace_back(one.get_string());
    }
  }
  return texts;
}

// "scope" as OAuth writes it, "read write", or a list. A token without it may do everything, as those that
// Supavisor's users have.
base::Status read_scopes(const json::object& claims, Grant& grant) {
  const json::value* scope = claims.if_contains("scope");
  if (scope == nullptr) scope = claims.if_contains("scopes");
  if (scope == nullptr) {
    grant.can_read = grant.can_write = grant.can_see_metrics = true;
    return {};
  }
  if (!scope->is_string() && !scope->is_array())
    return refuse("the token's scope is neither text nor a list");
  for (const std::string& text : texts_of(*scope)) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      const std::string_view word = rest.substr(0, end);
      grant.can_write |= word == "write";
      grant.can_read |= word == "read" || word == "write";
      grant.can_see_metrics |= word == "metrics";
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return {};
}

base::Status read_tenants(const json::object& claims, Grant& grant) {
  for (const char* name : {"tenant", "tenants"}) {
    const json::value* value = claims.if_contains(name);
    if (value == nullptr) continue;
    for (std::string& tenant : texts_of(*value)) grant.tenants.push_back(std::move(tenant));
    // A claim that cannot be read must not turn into "all tenants".
    if (grant.tenants.empty()) return refuse("the token's tenants are neither a name nor a list of names");
  }
  return {};
}

base::Result<Grant> read_claims(const TokenRules& rules, const json::object& claims, WallTime now) {
  if (auto timely = check_times(rules, claims, now); !timely) return std::unexpected(timely.error());
  for (const auto& [name, wanted] : rules.claims) {
    const json::value* value = claims.if_contains(name);
    if (value == nullptr || !claim_is(*value, wanted)) {
      return refuse(fmt::format("the token's claim \"{}\" is not what is demanded", name));
    }
  }
  Grant grant;
  grant.subject = text_of(claims, "sub");
  grant.id = text_of(claims, "jti");
  if (!grant.id.empty() && rules.denied.contains(grant.id)) return refuse("the token has been revoked");
  if (auto read = read_scopes(claims, grant); !read) return std::unexpected(read.error());
  if (auto read = read_tenants(claims, grant); !read) return std::unexpected(read.error());
  return grant;
}

}  // namespace

bool Grant::allows(Scope scope) const {
  switch (scope) {
    case Scope::kNone:
      return true;
    case Scope::kMetrics:
      return can_see_metrics;
    case Scope::kRead:
      return can_read;
    case Scope::kWrite:
      return can_write;
  }
  return false;
}

bool Grant::allows_tenant(std::string_view tenant) const {
  return tenants.empty() || std::ranges::find(tenants, tenant) != tenants.end();
}

base::Result<Grant> verify_token(const TokenRules& rules, std::string_view token, WallTime now) {
  if (token.size() > kTokenBytesMax) return refuse("the token is too long");
  const std::size_t first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.find('.', first + 1) != last) {
    return refuse("the token is not a JSON Web Token");
  }
  const auto header = parse_part(token.substr(0, first));
  const auto signature = base64url_decode(token.substr(last + 1));
  if (!header || !signature) return refuse("the token is not a JSON Web Token");
  const auto algorithm = algorithm_of(text_of(*header, "alg"));
  if (!algorithm) return refuse("the token's algorithm is not HS256, HS384, HS512, RS256 or ES256");
  // "crit" names extensions that must be understood, and none is.
  if (header->contains("crit")) return refuse("the token demands an extension that is not supported");
  const Signer signer = find_signer(rules, *algorithm, token.substr(0, last), *signature);
  if (signer == Signer::kNobody) return refuse("the token's signature is not valid");
  if (is_denied(rules, token.substr(0, last))) return refuse("the token has been revoked");
  const auto claims = parse_part(token.substr(first + 1, last - first - 1));
  if (!claims) return refuse("the token's claims are no JSON object");
  auto grant = read_claims(rules, *claims, now);
  if (grant && signer == Signer::kMetrics) {
    grant->can_read = grant->can_write = false;
    grant->can_see_metrics = true;
  }
  return grant;
}

std::string make_token(std::string_view secret, const TokenWish& wish, WallTime now) {
  const auto seconds_of = [](WallTime time) {
    return std::chrono::duration_cast<seconds>(time.time_since_epoch()).count();
  };
  json::object claims{{"iat", seconds_of(now)}, {"scope", wish.scope}};
  if (!wish.subject.empty()) claims["sub"] = wish.subject;
  if (!wish.id.empty()) claims["jti"] = wish.id;
  if (wish.expires) claims["exp"] = seconds_of(*wish.expires);
  if (!wish.tenants.empty()) claims["tenants"] = json::array(wish.tenants.begin(), wish.tenants.end());
  const std::string text =
      base64url_encode(R"({"alg":"HS256","typ":"JWT"})") + '.' + base64url_encode(json::serialize(claims));
  return text + '.' + base64url_encode(sign_hmac(Algorithm::kHs256, secret, text));
}

std::string base64url_encode(std::string_view bytes) {
  std::string text = base64_encode(base::as_bytes(bytes));
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

std::optional<std::string> base64url_decode(std::string_view text) {
  std::string standard(text);
  if (standard.find_first_of("+/=") != std::string::npos) return std::nullopt;
  std::ranges::replace(standard, '-', '+');
  std::ranges::replace(standard, '_', '/');
  while (standard.size() % 4 != 0) standard += '=';
  return base64_decode(standard);
}

}  // namespace penstock::auth
