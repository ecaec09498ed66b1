// Whatever a server sends, ScramClient answers with a message or an error, and believes no server without
// proof.
#include <cstdint>
#include <string_view>

#include "auth/scram_client.h"
#include "auth/scram_message.h"
#include "base/assert.h"

using namespace penstock;

namespace {

// Ends every challenge early that would cost the fuzzer its time.
bool cheap(std::string_view challenge) {
  const std::size_t at = challenge.find("i=");
  return at == challenge.npos || challenge.find_first_not_of("0123456789", at + 2) < at + 6 ||
         challenge.size() < at + 6;
}

}  // namespace

// Input: one byte of options, then the two messages, parted by a zero byte. '@' at the start stands for "r="
// and our nonce.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  base::SeededRandom random(1);
  static base::SystemRandom system;
  static auth::ScramKeyCache cache(system, 16);
  const std::string_view offered[] = {auth::kScramSha256, auth::kScramSha256Plus};
  auto client = auth::ScramClient::choose(
      {offered, (data[0] & 1) != 0 ? 2U : 1U}, auth::WipedText("pencil"), random, cache,
      {.on_tls = true, .channel_binding = (data[0] & 2) != 0 ? std::string(32, 'h') : std::string()});
  if (!client) return 0;
  const std::string first = client->first();

  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t at = rest.find('\0');
  std::string challenge(rest.substr(0, at));
  if (challenge.starts_with('@')) challenge.replace(0, 1, first.substr(first.find("r=")));
  if (!cheap(challenge)) return 0;
  if (client->respond(challenge)) {
    PENSTOCK_ASSERT(!client->verify(at == rest.npos ? std::string_view() : rest.substr(at + 1)));
    PENSTOCK_ASSERT(!client->verified());
  }
  return 0;
}
