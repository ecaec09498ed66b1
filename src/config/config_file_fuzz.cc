// Any bytes as a configuration file: no crash, and what loads prints to a file that loads to the same
// settings.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "config/listener_text.h"
#include "config/render.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace penstock;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  if (const auto listener = config::parse_listener(text)) {
    const auto again = config::parse_listener(config::to_text(*listener));
    PENSTOCK_ASSERT(again && *again == *listener);
  }
  const auto loaded = config::load_text(text, "fuzz.toml");
  if (!loaded) {
    PENSTOCK_ASSERT(!loaded.error().empty());
    return 0;
  }
  const auto again = config::load_text(config::render_effective(*loaded), "again.toml");
  PENSTOCK_ASSERT(again && again->settings == loaded->settings);
  return 0;
}
