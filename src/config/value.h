// Values of settings between their text and their member: what is allowed, parsing, printing.
//
// Durations are held in milliseconds, sizes in bytes, words and octal modes as text or number. A bare number
// is refused as a duration (PgBouncer would read seconds, Postgres milliseconds); 0 is the exception.
//
// Errors: kInvalidParameterValue with what was found in the message and what is allowed in the detail.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace penstock::config {

enum class Kind : std::uint8_t { kBool, kInteger, kDuration, kBytes, kOctal, kText, kWord, kList };

using Value = std::variant<bool, std::int64_t, std::string, std::vector<std::string>>;

struct Allowed {
  Kind kind = Kind::kText;
  std::int64_t min = 0;  // kInteger; kDuration: milliseconds; kBytes: bytes
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::int64_t step = 1;                     // the value is a multiple of this
  std::string_view unit = {};                // what a number counts: "upstreams"
  std::string_view zero = {};                // what 0 or "" means, if it means something of its own
  std::vector<std::string_view> words = {};  // kWord; "" when the member may be unset
};

// Reads what stands in an environment variable or behind --set. Lists are separated by commas.
base::Result<Value> parse_value(const Allowed& allowed, std::string_view text);
// Checks range, words and characters of a value that already has the right type.
base::Result<Value> check_value(const Allowed& allowed, Value value);

// "5s" → 5000, "64kB" → 65536: digits and a unit, nothing else.
base::Result<std::int64_t> parse_duration(std::string_view text);  // milliseconds
base::Result<std::int64_t> parse_bytes(std::string_view text);     // bytes

// As one writes it in the file: 20, "5s", "transaction", ["a", "b"].
std::string to_toml(const Allowed& allowed, const Value& value);
std::string quote_toml(std::string_view text);
// For people: `a whole number from 1 to 10000`, `one of "text", "json"`.
std::string describe(const Allowed& allowed);

}  // namespace penstock::config
