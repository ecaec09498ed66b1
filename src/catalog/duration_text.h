// Times as people write them: "250ms", "30s", "5min", "2h", "1d"; "0" is off. The same words as in the
// settings.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::catalog {

inline constexpr std::string_view kDurationAllowed =
    "0 (off) or a whole number with ms, s, min, h or d, up to 365d";
// The longest time that is accepted.
inline constexpr std::chrono::milliseconds kDurationMax = std::chrono::days(365);

// A bare number other than 0 is refused: nobody knows whether it means seconds or milliseconds.
base::Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// The shortest text without a fraction: 1500 ms is "1500ms", 60000 ms is "1min".
std::string to_text(std::chrono::milliseconds duration);

}  // namespace penstock::catalog
