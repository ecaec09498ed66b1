// The files of the web page, which are in the binary.
//
// Home: SHARED (constant).
#pragma once

#include <span>
#include <string_view>

namespace penstock::admin {

struct WebAsset {
  std::string_view path;  // "/swaggerui/start.js"
  std::string_view media_type;
  std::string_view content;
};

// Without Swagger UI, if it could not be fetched when this was built, there are none.
std::span<const WebAsset> web_assets();

}  // namespace penstock::admin
