// Any text as `options`: what is accepted can be written again and reads the same.
#include "base/assert.h"
#include "pgwire/startup.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const auto options = pgwire::parse_options(base::as_text({bytes, count}));
  if (!options) return 0;
  const auto again = pgwire::parse_options(pgwire::format_options(options->settings));
  PENSTOCK_ASSERT(again && again->settings == options->settings);
  PENSTOCK_ASSERT(!again->reference);
  return 0;
}
