// The version of this program, as `penstock version`, the logs and the console tell it. The same as in
// CMakeLists.txt.
#pragma once

#include <string_view>

namespace penstock::base {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace penstock::base
