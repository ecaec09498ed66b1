// Any text as SQL: the walk over its statements ends, and views stay inside the text.
#include <string>

#include "base/assert.h"
#include "base/bytes.h"
#include "pgwire/command_tag.h"
#include "pgwire/sql_text.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const std::string_view text = base::as_text({bytes, count});
  (void)pgwire::classify_tag(text);
  std::string_view left = text;
  while (true) {
    const auto found = pgwire::classify_simple(left);
    if (!found.name.empty()) PENSTOCK_ASSERT(pgwire::identifier(found.name).size() <= found.name.size());
    if (!found.multiple()) break;
    PENSTOCK_ASSERT(found.kind != pgwire::StatementKind::kEmpty);
    PENSTOCK_ASSERT(found.rest.size() < left.size() &&
                    found.rest.data() + found.rest.size() == text.data() + count);
    left = found.rest;
  }
  return 0;
}
