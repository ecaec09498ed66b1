// No token is accepted that we have not signed, whatever it says.
#include "auth/token.h"
#include "base/assert.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const auth::TokenRules rules{.secrets = {"a secret that no fuzzer will guess, ever"},
                               .needs_expiry = false};
  const std::string_view text = base::as_text({data, size});
  PENSTOCK_ASSERT(!auth::verify_token(rules, text, {}).has_value());
  // And no claims, well signed, do harm.
  std::string token = auth::base64url_encode(R"({"alg":"HS256"})") + '.' + auth::base64url_encode(text);
  (void)auth::verify_token({.secrets = {""}, .needs_expiry = false}, token + ".AAAA", {});
  return 0;
}
