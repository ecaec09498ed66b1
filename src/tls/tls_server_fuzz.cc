// Whatever bytes reach a server's Engine, it answers with a handshake, an alert or an error, and never opens
// by luck.
//
// The first byte says how far an honest client gets before the input takes over: before its hello, within its
// hello, after it, or with an open connection.
#include <cstdint>

#include "tls/engine_pair_test.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tls::testing::Contexts contexts;
  static const auto server = contexts.server();
  static const auto client = contexts.client();
  if (size < 3) return 0;
  const int stage = data[0] % 4;
  const std::size_t piece = 1 + data[1] * 8U;
  const base::ByteView input(data + 2, size - 2);

  tls::testing::EnginePair pair(*server, *client);
  if (stage == 1 || stage == 2) {
    pair.client.take({});
    const std::size_t whole = pair.client.outgoing.size();
    if (stage == 1) pair.client.outgoing.resize(whole * data[1] / 256);
    tls::testing::EnginePair::carry(pair.client, pair.server, SIZE_MAX);
  } else if (stage == 3) {
    pair.run();
    PENSTOCK_ASSERT(pair.server.open);
  }
  for (std::size_t at = 0; at < input.size(); at += piece) {
    pair.server.take(input.subspan(at, std::min(piece, input.size() - at)));
  }
  PENSTOCK_ASSERT(pair.server.received.empty());
  PENSTOCK_ASSERT(pair.server.open == (stage == 3));
  return 0;
}
