// ASCII letters made small: TLS server names are compared without case.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace penstock::catalog {

inline std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return result;
}

}  // namespace penstock::catalog
