#include "tls/openssl_error.h"

#include <openssl/err.h>

#include <cstring>

namespace penstock::tls {

std::string take_openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error code " + std::to_string(code);
}

}  // namespace penstock::tls
