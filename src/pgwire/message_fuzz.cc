// Any stream, cut as its first byte says, gives the same messages as in one piece, and never holds more than
// its limit.
#include <algorithm>
#include <string>
#include <vector>

#include "base/assert.h"
#include "pgwire/message.h"

using namespace penstock;

namespace {

constexpr pgwire::MessageAssembler::Limits kLimits = {.startup_bytes_max = 64, .message_bytes_max = 48};

// The messages as text, then the error's if there was one. `typed` false: the first is a start-up packet.
std::vector<std::string> assemble(base::ByteView stream, std::size_t piece_bytes, bool typed) {
  pgwire::MessageAssembler assembler(kLimits);
  std::vector<std::string> found;
  while (!stream.empty()) {
    const base::ByteView piece = stream.first(std::min(piece_bytes, stream.size()));
    stream = stream.subspan(piece.size());
    const std::vector<std::uint8_t> own(piece.begin(), piece.end());
    base::ByteView input = own;
    while (true) {
      if (!typed) {
        const auto packet = assembler.next_startup_packet(input);
        if (!packet) return found.push_back(packet.error().to_string()), found;
        if (!*packet) break;
        found.emplace_back(base::as_text(**packet));
        typed = true;
        continue;
      }
      const auto message = assembler.next_message(input);
      if (!message) return found.push_back(message.error().to_string()), found;
      if (!*message) break;
      found.push_back(static_cast<char>((*message)->type) + std::string(base::as_text((*message)->body)));
    }
    PENSTOCK_ASSERT(input.empty());
    PENSTOCK_ASSERT(assembler.held_bytes() <= 64);
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  if (count == 0) return 0;
  const bool typed = (bytes[0] & 1) != 0;
  const base::ByteView stream(bytes + 1, count - 1);
  PENSTOCK_ASSERT(assemble(stream, stream.size() + 1, typed) ==
                  assemble(stream, 1U + (bytes[0] >> 1) % 32U, typed));
  return 0;
}
