// Any text as SQL: the walk over its statements ends, and views stay inside the text.
#include <string>

#include "base/assert.h"
#include "base/bytes.h"
#include "pgwire/command_tag.h"
#include "pgwire/sql_text.h"
#include "pgwire/sql_walk.h"

using namespace penstock;

namespace {

// The kinds that a walk finds when the text comes in two pieces.
std::string walk(std::string_view text, std::size_t cut) {
  pgwire::SqlWalk walk;
  std::string kinds;
  for (std::string_view piece : {text.substr(0, cut), text.substr(cut)}) {
    while (!piece.empty()) {
      piece.remove_prefix(walk.feed(piece));
      if (!walk.at_end()) continue;
      kinds += static_cast<char>(walk.statement().kind);
      walk.start_next();
    }
  }
  return kinds + static_cast<char>(walk.statement().kind);
}

}  // namespace

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
  if (count > 0) PENSTOCK_ASSERT(walk(text, bytes[0] % count) == walk(text, 0));
  return 0;
}
