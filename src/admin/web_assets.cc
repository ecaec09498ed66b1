// Files taken into the binary by the assembler, which is quick for megabytes. See cmake/web.cmake.
#include "admin/web_assets.h"

#ifdef PENSTOCK_SWAGGER

// NOLINTBEGIN(bugprone-macro-parentheses): names that are declared
#define PENSTOCK_FILE(symbol, file)                                                                         \
  __asm__(".pushsection .rodata\n.global " #symbol "\n" #symbol ":\n.incbin \"" file "\"\n.global " #symbol \
          "_end\n" #symbol "_end:\n.byte 0\n.popsection\n");                                                \
  extern "C" const char symbol[];                                                                           \
  extern "C" const char symbol##_end[];
// NOLINTEND(bugprone-macro-parentheses)

PENSTOCK_FILE(penstock_web_index, PENSTOCK_WEB_SOURCE "/index.html")
PENSTOCK_FILE(penstock_web_start, PENSTOCK_WEB_SOURCE "/start.js")
PENSTOCK_FILE(penstock_web_bundle, PENSTOCK_SWAGGER "/swagger-ui-bundle.js")
PENSTOCK_FILE(penstock_web_style, PENSTOCK_SWAGGER "/swagger-ui.css")
PENSTOCK_FILE(penstock_web_license, PENSTOCK_SWAGGER "/LICENSE")
PENSTOCK_FILE(penstock_web_notice, PENSTOCK_SWAGGER "/NOTICE")

namespace penstock::admin {

namespace {

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

std::span<const WebAsset> web_assets() {
  static const WebAsset kAssets[] = {
      {"/swaggerui", "text/html; charset=utf-8", between(penstock_web_index, penstock_web_index_end)},
      {"/swaggerui/start.js", "text/javascript; charset=utf-8",
       between(penstock_web_start, penstock_web_start_end)},
      {"/swaggerui/swagger-ui-bundle.js", "text/javascript; charset=utf-8",
       between(penstock_web_bundle, penstock_web_bundle_end)},
      {"/swaggerui/swagger-ui.css", "text/css; charset=utf-8",
       between(penstock_web_style, penstock_web_style_end)},
      {"/swaggerui/LICENSE", "text/plain; charset=utf-8",
       between(penstock_web_license, penstock_web_license_end)},
      {"/swaggerui/NOTICE", "text/plain; charset=utf-8",
       between(penstock_web_notice, penstock_web_notice_end)},
  };
  return kAssets;
}

}  // namespace penstock::admin

#else

namespace penstock::admin {

std::span<const WebAsset> web_assets() {
  return {};
}

}  // namespace penstock::admin

#endif
