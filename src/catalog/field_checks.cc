#include "catalog/field_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "auth/secret.h"
#include "base/utf8.h"
#include "model/network.h"

namespace penstock::catalog {

namespace {

constexpr std::size_t kQueryBytesMax = 64 * 1024;
constexpr std::size_t kSecretBytesMax = 4096;
constexpr std::size_t kFoundBytesMax = 80;
constexpr std::size_t kReasonBytesMax = 500;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
bool is_printable(std::string_view text) {
  return base::is_utf8(text) && std::ranges::none_of(text, is_control);
}

}  // namespace

std::unexpected<base::Error> refuse_value(std::string_view allowed, std::string_view found) {
  std::string text(found.substr(0, kFoundBytesMax));
  const bool readable = base::is_utf8(text);
  for (char& c : text) {
    if (is_control(c) || (static_cast<unsigned char>(c) >= 0x80 && !readable)) c = '?';
  }
  return base::fail(base::kInvalidParameterValue, fmt::format("must be {}, not \"{}\"", allowed, text));
}

base::Status check_tenant_id(std::string_view id) {
  const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; };
  if (id.empty() || id.size() > 63 || !std::ranges::all_of(id, fits))
    return refuse_value(kTenantIdAllowed, id);
  return {};
}

base::Status check_name(std::string_view name) {
  if (name.empty() || name.size() > 63 || !is_printable(name)) {
    return refuse_value(kNameAllowed, name);
  }
  return {};
}

base::Status check_path(std::string_view path) {
  if (!is_printable(path)) return refuse_value(kPathAllowed, path);
  return {};
}

base::Status check_server_name(std::string_view name) {
  const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.'; };
  const bool has_empty_label =
      name.starts_with('.') || name.ends_with('.') || name.find("..") != std::string_view::npos;
  if (name.empty() || name.size() > 253 || has_empty_label || !std::ranges::all_of(name, fits)) {
    return refuse_value(kServerNameAllowed, name);
  }
  return {};
}

base::Status check_query(std::string_view query) {
  if (query.size() > kQueryBytesMax || query.find('\0') != std::string_view::npos || !base::is_utf8(query)) {
    return refuse_value(kQueryAllowed, query);
  }
  return {};
}

base::Status check_auth_query(std::string_view query) {
  if (!check_query(query) || query.find("$1") == std::string_view::npos) {
    return refuse_value(kAuthQueryAllowed, query);
  }
  return {};
}

base::Status check_secret(std::string_view secret) {
  const bool looks_like_verifier = secret.starts_with("SCRAM-SHA-256$");
  const bool is_whole = !looks_like_verifier || auth::ScramVerifier::parse(secret);
  // What was refused is not repeated: it is a secret.
  if (secret.empty() || !is_whole || secret.find('\0') != std::string_view::npos ||
      secret.size() > kSecretBytesMax || !base::is_utf8(secret)) {
    return base::fail(base::kInvalidParameterValue, fmt::format("must be {}", kSecretAllowed));
  }
  return {};
}

base::Status check_network(std::string_view network) {
  if (!model::parse_network(network)) return refuse_value(kNetworkAllowed, network);
  return {};
}

base::Status check_reason(std::string_view text) {
  if (text.size() > kReasonBytesMax || !is_printable(text)) return refuse_value(kReasonAllowed, text);
  return {};
}

base::Status check_pem(std::string_view text) {
  if (text.size() > kQueryBytesMax || !text.contains("-----BEGIN CERTIFICATE-----") || !base::is_utf8(text)) {
    return refuse_value(kPemAllowed, text);
  }
  return {};
}

base::Status check_url(std::string_view url) {
  const bool has_scheme = url.starts_with("http://") || url.starts_with("https://");
  if (!has_scheme || url.size() > 2048 || !is_printable(url) || url.contains(' ')) {
    return refuse_value(kUrlAllowed, url);
  }
  return {};
}

base::Status check_flag(std::string_view name, std::string_view value) {
  if (name.empty() || name.size() + value.size() > kReasonBytesMax || !is_printable(name) ||
      !is_printable(value)) {
    return refuse_value(kFlagsAllowed, fmt::format("{}={}", name, value));
  }
  return {};
}

base::Status check_parameter(std::string_view name, std::string_view value) {
  constexpr std::array<std::string_view, 4> kOurs = {"user", "database", "options", "replication"};
  const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '.'; };
  if (name.empty() || is_digit(name.front()) || name.starts_with("_pq_.") ||
      !std::ranges::all_of(name, fits) || std::ranges::find(kOurs, name) != kOurs.end() ||
      !is_printable(value)) {
    return refuse_value(kParametersAllowed, fmt::format("{}={}", name, value));
  }
  return {};
}

}  // namespace penstock::catalog
