#include <benchmark/benchmark.h>

#include "auth/crypto.h"
#include "auth/scram_client.h"
#include "auth/scram_server.h"

namespace penstock::auth {
namespace {

void derive_4096(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        pbkdf2_sha256("a password of some length", base::as_bytes("0123456789abcdef"), 4096));
  }
}
BENCHMARK(derive_4096)->Unit(benchmark::kMicrosecond);

void whole_login_with_cached_keys(benchmark::State& state) {
  base::SeededRandom random(1);
  ScramKeyCache cache(random);
  const ScramVerifier verifier = make_verifier("pencil", "0123456789abcdef");
  for (auto _ : state) {
    ScramServer server(verifier, random, {});
    auto client = ScramClient::choose(server.mechanisms(), WipedText("pencil"), random, cache, {});
    const auto challenge = server.first(client->mechanism(), client->first());
    const auto proof = client->respond(*challenge);
    const auto signature = server.final(*proof);
    benchmark::DoNotOptimize(client->verify(*signature));
  }
}
BENCHMARK(whole_login_with_cached_keys)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace penstock::auth
