// Any target is read or refused; what is decoded and encoded again comes out the same.
#include <cstdint>

#include "base/assert.h"
#include "base/bytes.h"
#include "http/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const auto uri = http::parse_target(base::as_text({data, size}));
  if (!uri) return 0;
  for (const std::string& part : uri->path) {
    PENSTOCK_ASSERT(http::percent_decode(http::percent_encode(part)) == part);
  }
  return 0;
}
