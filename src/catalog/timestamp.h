// Moments as text: "2026-11-22T10:53:43.123Z" (RFC 3339, UTC).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/catalog_snapshot.h"

namespace penstock::catalog {

std::string to_text(model::WallTime time);

// With or without a fraction; "Z" or an offset such as "+02:00" must be there. Nothing for anything else.
std::optional<model::WallTime> parse_timestamp(std::string_view text);

// Now, by the system's clock.
model::WallTime wall_clock_now();

}  // namespace penstock::catalog
