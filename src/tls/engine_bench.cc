#include <benchmark/benchmark.h>
#include <malloc.h>

#include "tls/engine_pair_test.h"

namespace penstock::tls {
namespace {

using testing::Contexts;
using testing::EnginePair;

// Both ends: halve it for ours.
void handshake_both_ends(benchmark::State& state) {
  const Contexts contexts;
  const auto server = contexts.server();
  const auto client = contexts.client();
  for (auto _ : state) {
    EnginePair pair(*server, *client);
    pair.run();
    benchmark::DoNotOptimize(pair.server.open);
  }
}
BENCHMARK(handshake_both_ends)->Unit(benchmark::kMicrosecond);

struct Sink final : Engine::Output {
  std::vector<std::uint8_t> bytes;
  void on_encrypted(base::ByteView more) override { bytes.insert(bytes.end(), more.begin(), more.end()); }
};

// One message encrypted at one end and decrypted at the other.
void message(benchmark::State& state) {
  const Contexts contexts;
  EnginePair pair(*contexts.server(), *contexts.client());
  pair.run();
  Sink sink;
  pair.client.engine->set_output(&sink);
  const std::vector<std::uint8_t> plain(static_cast<std::size_t>(state.range(0)), 'x');
  std::vector<std::uint8_t> out(Engine::kRecordMax);
  for (auto _ : state) {
    sink.bytes.clear();
    (void)pair.client.engine->write(plain);
    base::ByteView input = sink.bytes;
    benchmark::DoNotOptimize(pair.server.engine->read(input, out));
    benchmark::DoNotOptimize(pair.server.engine->read(input, out));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(message)->Arg(64)->Arg(1024)->Arg(16384);

// Heap of an idle connection's server side, in bytes, after a question and an answer.
void idle_connection(benchmark::State& state) {
  constexpr int kConnections = 500;
  const Contexts contexts;
  const auto server = contexts.server();
  const auto client = contexts.client();
  double per_connection = 0;
  for (auto _ : state) {
    std::vector<std::unique_ptr<Engine>> kept;
    kept.reserve(kConnections);
    EnginePair(*server, *client).run();
    const auto before = mallinfo2().uordblks;
    for (int i = 0; i < kConnections; ++i) {
      EnginePair pair(*server, *client);
      pair.run();
      (void)pair.client.engine->write(base::as_bytes("question"));
      pair.run();
      (void)pair.server.engine->write(base::as_bytes("answer"));
      pair.server.engine->set_output(nullptr);
      kept.push_back(std::move(pair.server.engine));
    }
    per_connection = static_cast<double>(mallinfo2().uordblks - before) / kConnections;
  }
  state.counters["bytes"] = per_connection;
}
BENCHMARK(idle_connection)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::tls
