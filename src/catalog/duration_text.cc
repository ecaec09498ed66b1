#include "catalog/duration_text.h"

#include <fmt/format.h>

#include "config/value.h"

namespace penstock::catalog {

base::Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const base::Result<std::int64_t> number = config::parse_duration(text);
  if (number && *number <= kDurationMax.count()) return std::chrono::milliseconds(*number);
  return base::fail(base::kInvalidParameterValue,
                    fmt::format("must be {}, not \"{}\"", kDurationAllowed, text));
}

std::string to_text(std::chrono::milliseconds duration) {
  std::string text = config::to_toml({.kind = config::Kind::kDuration}, duration.count());
  if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace penstock::catalog
