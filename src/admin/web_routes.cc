// The web page: Swagger UI, from the binary.
#include "admin/api.h"

namespace penstock::admin {

Routes web_routes() {
  return {};
}

}  // namespace penstock::admin
