#include "session/guc_time.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "pgwire/sql_scan.h"

namespace penstock::session {

namespace {

struct Unit {
  std::string_view word;  // the case of its letters counts
  double milliseconds;
};
constexpr std::array<Unit, 7> kUnits{
    {{"", 1}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && pgwire::is_sql_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && pgwire::is_sql_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<std::chrono::milliseconds> guc_milliseconds(const std::string& value) {
  const char* const begin = value.c_str();
  char* end = nullptr;
  errno = 0;
  auto number = static_cast<double>(std::strtol(begin, &end, 0));
  if (*end == '.' || *end == 'e' || *end == 'E' || errno == ERANGE) number = std::strtod(begin, &end);
  if (end == begin) return std::nullopt;
  const std::string_view word = trimmed(end);
  for (const Unit& unit : kUnits) {
    if (word != unit.word) continue;
    const double milliseconds = std::rint(number * unit.milliseconds);
    const bool fits = milliseconds >= 0 && milliseconds <= std::numeric_limits<int>::max();
    if (!fits) return std::nullopt;
    return std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds));
  }
  return std::nullopt;
}

}  // namespace penstock::session
