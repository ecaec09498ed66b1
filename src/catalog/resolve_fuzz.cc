// Any `options`: what is not the reference stays, and what is taken out is gone.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "catalog/resolve.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view options(reinterpret_cast<const char*>(data), size);
  const catalog::OptionsParts parts = catalog::split_options(options);
  PENSTOCK_ASSERT(parts.rest.size() + parts.reference.size() <= options.size());
  if (parts.reference.empty() && options.find("reference=") == std::string_view::npos &&
      options.find('\\') == std::string_view::npos) {
    PENSTOCK_ASSERT(parts.rest == options);
  }
  PENSTOCK_ASSERT(catalog::split_options(parts.rest).reference.empty());
  return 0;
}
