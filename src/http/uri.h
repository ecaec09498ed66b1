// A request's target in its parts: "/api/tenants/a%20b?limit=10" → {"api", "tenants", "a b"}, {{"limit", "10"}}.
//
// Or a whole URL, as clients send it who think that they speak to a proxy (RFC 9112, 3.2.2): whose host it names plays no part.
//
// Home:   any thread (pure).
// Errors: kInvalidParameterValue: no path, a broken percent-encoding, a zero byte, "." and "..".
// See:    RFC 3986; the query as HTML forms write it ('+' is a space).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace penstock::http {

struct Uri {
  std::vector<std::string> path = {};
  std::vector<std::pair<std::string, std::string>> query = {};

  // The first parameter of that name.
  const std::string* parameter(std::string_view name) const;
};

base::Result<Uri> parse_target(std::string_view target);
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
std::string percent_encode(std::string_view text);

}  // namespace penstock::http
