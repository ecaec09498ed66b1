#include "config/listener_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "config/table.h"

namespace penstock::config {
namespace {

constexpr std::string_view kAddressForms =
    "Allowed: an IP address such as 127.0.0.1 or ::1, * for all addresses, an absolute directory for a Unix "
    "socket, or @name for an abstract socket.";
// sockaddr_un holds 107 bytes; the longest file name in the directory is ".s.PGSQL.65535".
constexpr std::size_t kDirectoryMax = 107 - sizeof("/.s.PGSQL.65535") + 1;

std::unexpected<base::Error> invalid(std::string message, std::string_view detail) {
  return base::fail(base::kInvalidParameterValue, std::move(message), std::string(detail));
}

// Cuts `text` at the first `separator`, or takes all of it.
std::string_view take_until(std::string_view& text, char separator) {
  const auto at = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return head;
}

bool is_number_up_to(std::string_view digits, int max, std::size_t length_max) {
  if (digits.empty() || digits.size() > length_max) return false;
  int number = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + (c - '0');
  }
  return number <= max;
}

bool is_ipv4(std::string_view text) {
  if (std::ranges::count(text, '.') != 3 || text.ends_with('.')) return false;
  while (!text.empty()) {
    if (!is_number_up_to(take_until(text, '.'), 255, 3)) return false;
  }
  return true;
}

bool is_hex_group(std::string_view group) {
  return !group.empty() && group.size() <= 4 &&
         group.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

// How many 16-bit groups `text` (without "::") stands for; -1 when it is malformed. Empty is none.
int count_groups(std::string_view text) {
  int groups = 0;
  bool more = !text.empty();
  while (more) {
    more = text.contains(':');
    const std::string_view group = take_until(text, ':');
    if (!more && group.contains('.')) return is_ipv4(group) ? groups + 2 : -1;
    if (!is_hex_group(group)) return -1;
    ++groups;
  }
  return groups;
}

// RFC 4291, 2.2, without a zone.
bool is_ipv6(std::string_view text) {
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) return count_groups(text) == 8;
  const int before = count_groups(text.substr(0, gap));
  const int after = count_groups(text.substr(gap + 2));
  const bool dotted_before = text.substr(0, gap).contains('.');
  return before >= 0 && after >= 0 && !dotted_before && before + after < 8;
}

bool is_socket_name(std::string_view address) {
  return address.starts_with('/') || address.starts_with('@');
}

base::Status set_field(ListenerSettings& listener, std::string_view key, std::string_view text) {
  const auto* entry = find_listener_setting(key);
  PENSTOCK_ASSERT(entry != nullptr);
  base::Result<Value> value = parse_value(entry->allowed, text);
  if (!value) return base::fail(std::move(value.error()));
  entry->set(listener, *value);
  return {};
}

// What may stand behind the question mark.
base::Status set_option(ListenerSettings& listener, std::string_view key, std::string_view text) {
  if (key == "mode") key = "pool_mode";
  if (key == "pool_mode" || key == "unix_mode") return set_field(listener, key, text);
  return invalid(fmt::format("a listener has no {}", quote_toml(key)),
                 "Allowed after ?: pool_mode, unix_mode.");
}

// Splits ADDRESS[:PORT]; the port is empty when there is none.
base::Result<std::pair<std::string_view, std::string_view>> split_port(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    const std::string_view rest = close == std::string_view::npos ? "?" : text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) {
      return invalid(fmt::format("{} is not an address and port", quote_toml(text)),
                     "An IPv6 address is written [::1]:6432.");
    }
    return std::pair(text.substr(1, close - 1), rest.empty() ? rest : rest.substr(1));
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::pair(text, std::string_view());
  if (!is_socket_name(text) && text.find(':') != colon) {
    return invalid(fmt::format("{} has more than one colon", quote_toml(text)),
                   "An IPv6 address is written [::1]:6432.");
  }
  return std::pair(text.substr(0, colon), text.substr(colon + 1));
}

}  // namespace

base::Status check_address(std::string_view address) {
  if (address == "*" || is_ipv4(address) || is_ipv6(address)) return {};
  if (is_socket_name(address) && address.size() > 1) {
    if (address.size() <= kDirectoryMax) return {};
    return invalid(fmt::format("the socket directory is longer than {} bytes", kDirectoryMax),
                   "The system allows 107 bytes for the whole path of a Unix socket.");
  }
  return invalid(fmt::format("{} is not an address to listen on", quote_toml(address)), kAddressForms);
}

base::Result<ListenerSettings> parse_listener(std::string_view text) {
  ListenerSettings listener;
  const std::string_view place = take_until(text, '?');
  const auto parts = split_port(place);
  if (!parts) return base::fail(parts.error());
  listener.address = parts->first;
  base::Status status = check_address(listener.address);
  if (status && parts->second.empty() && place.ends_with(':')) status = invalid("the port is missing", "");
  if (status && !parts->second.empty()) status = set_field(listener, "port", parts->second);
  while (status && !text.empty()) {
    std::string_view field = take_until(text, '&');
    const std::string_view key = take_until(field, '=');
    status = set_option(listener, key, field);
  }
  if (!status) return base::fail(std::move(status.error()));
  return listener;
}

base::Result<std::vector<ListenerSettings>> parse_listeners(std::string_view text) {
  std::vector<ListenerSettings> listeners;
  while (!text.empty()) {
    std::string_view item = take_until(text, ',');
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    auto listener = parse_listener(item);
    if (!listener) return base::fail(std::move(listener.error()));
    listeners.push_back(std::move(*listener));
  }
  return listeners;
}

std::string to_text(const ListenerSettings& listener) {
  const bool brackets = listener.address.contains(':') && !is_socket_name(listener.address);
  std::string text =
      fmt::format(fmt::runtime(brackets ? "[{}]:{}" : "{}:{}"), listener.address, listener.port);
  char separator = '?';
  for (std::string_view key : {"pool_mode", "unix_mode"}) {
    const auto* entry = find_listener_setting(key);
    const Value value = entry->get(listener);
    if (value == entry->get(ListenerSettings{})) continue;
    std::string shown = to_toml(entry->allowed, value);
    std::erase(shown, '"');
    text += fmt::format("{}{}={}", separator, key, shown);
    separator = '&';
  }
  return text;
}

}  // namespace penstock::config
