// Whatever a client sends, ScramServer answers with a message or an error, and nobody gets in without the
// password.
#include <cstdint>
#include <string_view>

#include "auth/scram_message.h"
#include "auth/scram_server.h"
#include "auth/secret.h"
#include "base/assert.h"

using namespace penstock;

// Input: one byte of options, then the two messages, parted by a zero byte.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const auth::ScramVerifier verifier = auth::make_verifier("pencil", "0123456789abcdef", 2);
  base::SeededRandom random(1);
  const bool bound = (data[0] & 1) != 0;
  auth::ScramServer server(
      verifier, random, {.on_tls = bound, .channel_binding = bound ? std::string(32, 'h') : std::string()});
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t at = rest.find('\0');
  const std::string_view first = rest.substr(0, at);
  const std::string_view final = at == rest.npos ? std::string_view() : rest.substr(at + 1);
  const auto challenge =
      server.first((data[0] & 2) != 0 ? auth::kScramSha256Plus : auth::kScramSha256, first);
  if (challenge) {
    PENSTOCK_ASSERT(!server.final(final));
  } else {
    PENSTOCK_ASSERT(!challenge.error().message.empty());
  }
  auth::Secret::parse(rest);
  return 0;
}
