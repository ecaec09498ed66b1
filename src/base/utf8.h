// Whether bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF), and what to
// show of those that are not.
#pragma once

#include <string>
#include <string_view>

namespace penstock::base {

bool is_utf8(std::string_view text);

// The text, where bytes that belong to no character stand as \xff, as Postgres shows them: names of clients and databases
// may be in any encoding, while Prometheus and JSON know UTF-8 only. `escape`: what stands before the two digits.
std::string to_utf8(std::string_view text, std::string_view escape = "\\x");

}  // namespace penstock::base
