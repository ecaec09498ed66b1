#include "http/uri.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::http {

namespace {

constexpr std::size_t kPartsMax = 64;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::unexpected<base::Error> broken(std::string why) {
  return base::fail(base::kInvalidParameterValue, "the request's target is malformed", std::move(why));
}

// Cuts what stands before `separator` off `rest`.
std::string_view next_part(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

base::Status parse_path(std::string_view text, Uri& uri) {
  text.remove_prefix(1);
  while (!text.empty()) {
    const std::optional<std::string> part = percent_decode(next_part(text, '/'));
    if (!part) return broken("A percent sign in the path is not followed by two hexadecimal digits.");
    if (part->empty() && text.empty()) break;  // a slash at the end
    if (part->empty() || *part == "." || *part == "..") return broken("The path has an empty part, or dots.");
    uri.path.push_back(*part);
    if (uri.path.size() > kPartsMax) return broken("The path has too many parts.");
  }
  return {};
}

base::Status parse_query(std::string_view text, Uri& uri) {
  while (!text.empty()) {
    std::string_view part = next_part(text, '&');
    if (part.empty()) continue;
    const std::optional<std::string> name = percent_decode(next_part(part, '='), true);
    const std::optional<std::string> value = percent_decode(part, true);
    if (!name || !value) {
      return broken("A percent sign in the query is not followed by two hexadecimal digits.");
    }
    uri.query.emplace_back(*name, *value);
    if (uri.query.size() > kPartsMax) return broken("The query has too many parameters.");
  }
  return {};
}

// "http://host/path" as "/path". Nothing when there is no host.
std::optional<std::string> without_host(std::string_view target, std::size_t scheme_bytes) {
  const std::string_view rest = target.substr(scheme_bytes);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view host = rest.substr(0, end);
  if (host.empty() || host.starts_with(':') || host.find('@') != std::string_view::npos) return std::nullopt;
  const std::string path(rest.substr(end));
  return path.starts_with('/') ? path : '/' + path;
}

bool begins_with_scheme(std::string_view target, std::string_view scheme) {
  return target.size() >= scheme.size() &&
         std::ranges::equal(target.substr(0, scheme.size()), scheme, [](char c, char expected) {
           return (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == expected;
         });
}

}  // namespace

const std::string* Uri::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

base::Result<Uri> parse_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!begins_with_scheme(target, scheme)) continue;
    const std::optional<std::string> path = without_host(target, scheme.size());
    if (!path) return broken("The URL names no host, or a user.");
    return parse_target(*path);
  }
  Uri uri;
  if (!target.starts_with('/')) return broken("It must be a path that begins with a slash.");
  const std::size_t mark = target.find('?');
  if (auto done = parse_path(target.substr(0, mark), uri); !done) return std::unexpected(done.error());
  if (mark == std::string_view::npos) return uri;
  if (auto done = parse_query(target.substr(mark + 1), uri); !done) return std::unexpected(done.error());
  return uri;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    result += c;
  }
  return result;
}

std::string percent_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (is_unreserved(c)) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

}  // namespace penstock::http
