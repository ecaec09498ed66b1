#include "catalog/timestamp.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace penstock::catalog {

namespace {

// Reads a number of exactly `digits` digits off the front of `text`.
bool take_number(std::string_view& text, std::size_t digits, int& number) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (error != std::errc{} || end != text.data() + digits || text.front() == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// ".123456": what is finer than milliseconds is cut off.
bool take_fraction(std::string_view& text, std::chrono::milliseconds& fraction) {
  if (!take(text, ".,")) return true;
  int unit = 100;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    fraction += std::chrono::milliseconds((text[digits] - '0') * unit);
    unit /= 10;
    ++digits;
  }
  text.remove_prefix(digits);
  return digits > 0 && digits <= 9;
}

bool take_zone(std::string_view& text, std::chrono::minutes& offset) {
  if (take(text, "zZ")) return true;
  if (text.empty()) return false;
  const int sign = text.front() == '-' ? -1 : 1;
  int hours = 0;
  int minutes = 0;
  if (!take(text, "+-") || !take_number(text, 2, hours)) return false;
  if (!text.empty() && (!take(text, ":") || !take_number(text, 2, minutes))) return false;  // Postgres: "+00"
  if (hours > 23 || minutes > 59) return false;
  offset = std::chrono::minutes(sign * (hours * 60 + minutes));
  return true;
}

}  // namespace

std::string to_text(model::WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<model::WallTime> parse_timestamp(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::chrono::milliseconds fraction{0};
  std::chrono::minutes offset{0};
  const bool is_read = take_number(text, 4, year) && take(text, "-") && take_number(text, 2, month) &&
                       take(text, "-") && take_number(text, 2, day) && take(text, "Tt ") &&
                       take_number(text, 2, hour) && take(text, ":") && take_number(text, 2, minute) &&
                       take(text, ":") && take_number(text, 2, second) && take_fraction(text, fraction) &&
                       take_zone(text, offset) && text.empty();
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!is_read || !date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second) + fraction - offset;
}

model::WallTime wall_clock_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

}  // namespace penstock::catalog
