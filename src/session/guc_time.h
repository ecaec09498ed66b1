// A time as Postgres reads it in a setting that counts milliseconds.
//
// For the few settings that are not left to the server: both must take "1min" for the same.
//
// Home:   any thread (pure).
// Source: PostgreSQL manual, "Parameter Names and Values"; parse_int() in guc.c.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace penstock::session {

// A number (also 0x10, 010, 1.5, 1e3) and perhaps a unit: us, ms, s, min, h, d; none is ms. Nothing for what
// the server would refuse: other words, less than zero, more than 2^31 - 1 ms.
std::optional<std::chrono::milliseconds> guc_milliseconds(const std::string& value);

}  // namespace penstock::session
