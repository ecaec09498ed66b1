#include "config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

#include "base/utf8.h"

namespace penstock::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};
// From large to small: printing takes the largest that divides.
constexpr std::array kTimeUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"min", 60'000},
                                   Unit{"s", 1'000}, Unit{"ms", 1}};
constexpr std::array kByteUnits = {Unit{"GB", std::int64_t{1} << 30}, Unit{"MB", std::int64_t{1} << 20},
                                   Unit{"kB", std::int64_t{1} << 10}, Unit{"B", 1}};
constexpr std::string_view kTimeForm =
    "Write a number and one of ms, s, min, h, d: \"500ms\", \"5s\", \"2min\".";
constexpr std::string_view kByteForm =
    "Write a number and one of B, kB, MB, GB (powers of 1024): \"64kB\", \"1MB\".";

std::unexpected<base::Error> invalid(std::string message, std::string detail) {
  return base::fail(base::kInvalidParameterValue, std::move(message), std::move(detail));
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base = 10) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

base::Result<std::int64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                           std::string_view what, std::string_view form) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_integer(text.substr(0, digits));
  std::string_view name = text.substr(digits);
  while (name.starts_with(' ')) name.remove_prefix(1);
  const auto unit = std::ranges::find(units, name, &Unit::name);
  if (!number || (unit == units.end() && !(name.empty() && *number == 0))) {
    return invalid(fmt::format("{} is not a {}", quote_toml(text), what), std::string(form));
  }
  std::int64_t result = 0;
  if (*number != 0 && __builtin_mul_overflow(*number, unit->factor, &result)) {
    return invalid(fmt::format("{} is too large", quote_toml(text)), std::string(form));
  }
  return result;
}

std::string print_with_unit(std::int64_t number, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (number != 0 && number % unit.factor == 0) return fmt::format("{}{}", number / unit.factor, unit.name);
  }
  return "0";
}

// A number of this kind as one writes it, without quotes.
std::string print_number(Kind kind, std::int64_t number) {
  switch (kind) {
    case Kind::kDuration:
      return print_with_unit(number, kTimeUnits);
    case Kind::kBytes:
      return print_with_unit(number, kByteUnits);
    case Kind::kOctal:
      return fmt::format("{:04o}", number);
    default:
      return fmt::format("{}", number);
  }
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

bool is_plain_text(std::string_view text) {
  const bool controls =
      std::ranges::any_of(text, [](char c) { return is_control(c) && c != '\n' && c != '\t'; });
  return !controls && base::is_utf8(text);
}

std::string allowed_words(const Allowed& allowed) {
  return fmt::format("Allowed: {}.", describe(allowed));
}

base::Result<Value> parse_bool(std::string_view text, const Allowed& allowed) {
  for (std::string_view word : {"true", "on", "yes", "1"}) {
    if (text == word) return true;
  }
  for (std::string_view word : {"false", "off", "no", "0"}) {
    if (text == word) return false;
  }
  return invalid(fmt::format("{} is not a switch", quote_toml(text)), allowed_words(allowed));
}

base::Result<std::int64_t> parse_number(const Allowed& allowed, std::string_view text) {
  if (allowed.kind == Kind::kDuration) return parse_duration(text);
  const auto number = parse_integer(text, allowed.kind == Kind::kOctal ? 8 : 10);
  if (number) return *number;
  if (allowed.kind == Kind::kBytes) return parse_bytes(text);
  return invalid(fmt::format("{} is not a number", quote_toml(text)), allowed_words(allowed));
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) items.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

base::Status check_number(const Allowed& allowed, std::int64_t number) {
  if (number < allowed.min || number > allowed.max) {
    return invalid(fmt::format("{} is out of range", print_number(allowed.kind, number)),
                   allowed_words(allowed));
  }
  if (number % allowed.step != 0) {
    return invalid(fmt::format("{} is too fine", print_number(allowed.kind, number)), allowed_words(allowed));
  }
  return {};
}

base::Status check_text(const Allowed& allowed, std::string_view text) {
  if (!is_plain_text(text)) {
    return invalid("the text has control characters or is not UTF-8", allowed_words(allowed));
  }
  if (allowed.kind == Kind::kWord && std::ranges::find(allowed.words, text) == allowed.words.end()) {
    return invalid(fmt::format("{} is not known here", quote_toml(text)), allowed_words(allowed));
  }
  return {};
}

}  // namespace

base::Result<std::int64_t> parse_duration(std::string_view text) {
  return parse_with_unit(text, kTimeUnits, "duration", kTimeForm);
}

base::Result<std::int64_t> parse_bytes(std::string_view text) {
  return parse_with_unit(text, kByteUnits, "size", kByteForm);
}

base::Result<Value> parse_value(const Allowed& allowed, std::string_view text) {
  switch (allowed.kind) {
    case Kind::kBool:
      return parse_bool(text, allowed);
    case Kind::kText:
    case Kind::kWord:
      return check_value(allowed, std::string(text));
    case Kind::kList:
      return check_value(allowed, split_list(text));
    default:
      break;
  }
  base::Result<std::int64_t> number = parse_number(allowed, text);
  if (!number) return base::fail(std::move(number.error()));
  return check_value(allowed, *number);
}

base::Result<Value> check_value(const Allowed& allowed, Value value) {
  base::Status status;
  if (const auto* number = std::get_if<std::int64_t>(&value)) status = check_number(allowed, *number);
  if (const auto* text = std::get_if<std::string>(&value)) status = check_text(allowed, *text);
  if (const auto* items = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& item : *items) {
      if (status) status = check_text(allowed, item);
    }
  }
  if (!status) return base::fail(std::move(status.error()));
  return value;
}

std::string quote_toml(std::string_view text) {
  const bool utf8 = base::is_utf8(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (is_control(c)) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += utf8 || static_cast<unsigned char>(c) < 0x80 ? c : '?';
    }
  }
  return out + '"';
}

std::string to_toml(const Allowed& allowed, const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return quote_toml(*text);
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    const std::string printed = print_number(allowed.kind, *number);
    const bool bare = allowed.kind == Kind::kInteger || printed == "0";
    return bare ? printed : quote_toml(printed);
  }
  std::string out;
  for (const std::string& item : std::get<std::vector<std::string>>(value)) {
    out += (out.empty() ? "" : ", ") + quote_toml(item);
  }
  return "[" + out + "]";
}

std::string describe(const Allowed& allowed) {
  const auto number = [&](std::int64_t n) { return print_number(allowed.kind, n); };
  std::string zero = allowed.zero.empty() ? "" : fmt::format("; 0: {}", allowed.zero);
  switch (allowed.kind) {
    case Kind::kBool:
      return "true or false";
    case Kind::kInteger:
      return fmt::format("a whole number from {} to {}{}{}", allowed.min, allowed.max,
                         allowed.unit.empty() ? "" : fmt::format(" ({})", allowed.unit), zero);
    case Kind::kDuration:
      return fmt::format("a duration from {} to {}{}{}", number(allowed.min), number(allowed.max),
                         allowed.step == 1000 ? " in whole seconds" : "", zero);
    case Kind::kBytes:
      return fmt::format("a size from {} to {}{}", number(allowed.min), number(allowed.max), zero);
    case Kind::kOctal:
      return fmt::format("an octal number in quotes from \"{}\" to \"{}\"", number(allowed.min),
                         number(allowed.max));
    case Kind::kText:
      return allowed.zero.empty() ? "text" : fmt::format("text; empty: {}", allowed.zero);
    case Kind::kList:
      return "a list of texts";
    case Kind::kWord:
      break;
  }
  std::string words;
  for (std::string_view word : allowed.words) {
    if (!word.empty()) words += (words.empty() ? "" : ", ") + quote_toml(word);
  }
  return fmt::format("one of {}{}", words,
                     allowed.zero.empty() ? "" : fmt::format("; not set: {}", allowed.zero));
}

}  // namespace penstock::config
