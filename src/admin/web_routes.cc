// The web page: Swagger UI, from the binary.
#include "admin/api.h"
#include "admin/problem.h"
#include "admin/web_assets.h"

namespace penstock::admin {

namespace {

// Nothing from elsewhere, and nobody may put the page into theirs. Swagger UI sets styles on its elements.
constexpr const char* kPolicy =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'";

Route page_of(const WebAsset& asset) {
  return {
      .method = "GET",
      .path = asset.path,
      .name = "",
      .tag = "",
      .summary = "",
      .scope = auth::Scope::kNone,
      .is_documented = false,
      .act = [asset](Call call) {
        call.respond({.content_type = std::string(asset.media_type),
                      .headers = {{"Content-Security-Policy", kPolicy}, {"Referrer-Policy", "no-referrer"}},
                      .constant_body = asset.content});
      }};
}

}  // namespace

Routes web_routes() {
  Routes routes;
  for (const WebAsset& asset : web_assets()) routes.push_back(page_of(asset));
  if (!routes.empty()) return routes;
  routes.push_back({.method = "GET",
                    .path = "/swaggerui",
                    .scope = auth::Scope::kNone,
                    .is_documented = false,
                    .act = [](Call call) {
                      call.respond(problem(501, "this program was built without Swagger UI",
                                           "Build it where npm and a network are; /api/openapi is there."));
                    }});
  return routes;
}

}  // namespace penstock::admin
