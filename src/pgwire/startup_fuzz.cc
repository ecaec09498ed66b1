// Any bytes as a start-up packet: what is accepted can be built again and reads the same.
#include <cstdlib>

#include "base/assert.h"
#include "pgwire/startup.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const auto packet = pgwire::parse_startup({bytes, count});
  if (!packet) {
    PENSTOCK_ASSERT(!packet.error().message.empty());
    return 0;
  }
  base::ByteWriter out;
  if (const auto* cancel = std::get_if<pgwire::CancelRequest>(&*packet)) {
    pgwire::build_cancel_request(out, cancel->process_id, cancel->key);
    PENSTOCK_ASSERT(base::as_text(out.view().subspan(4)) == base::as_text({bytes, count}));
  }
  if (const auto* startup = std::get_if<pgwire::StartupMessage>(&*packet)) {
    PENSTOCK_ASSERT(!startup->user().empty() && !startup->database().empty());
    (void)startup->replication();
    pgwire::build_startup(out, startup->major, startup->minor, startup->parameters);
    const auto again = pgwire::parse_startup(out.view().subspan(4));
    PENSTOCK_ASSERT(again && std::get<pgwire::StartupMessage>(*again).parameters == startup->parameters);
  }
  return 0;
}
