#include <benchmark/benchmark.h>
#include <malloc.h>

#include "tls/engine_pair_test.h"

namespace penstock::tls {
namespace {

using testing::Contexts;
using testing::EnginePair;

// "compact" in a benchmark's name: the server goes on without OpenSSL's connection.
std::shared_ptr<const ServerContext> server_of(const Contexts& contexts, bool compact) {
  ServerOptions options = contexts.server_options();
  options.compact = compact;
  return contexts.server(options);
}

// Both ends: halve it for ours.
void handshake_both_ends(benchmark::State& state, bool compact) {
  const Contexts contexts;
  const auto server = server_of(contexts, compact);
  const auto client = contexts.client();
  for (auto _ : state) {
    EnginePair pair(*server, *client);
    pair.run();
    benchmark::DoNotOptimize(pair.server.open);
  }
}
BENCHMARK_CAPTURE(handshake_both_ends, openssl, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(handshake_both_ends, compact, true)->Unit(benchmark::kMicrosecond);

struct Sink final : Engine::Output {
  std::vector<std::uint8_t> bytes;
  void on_encrypted(base::ByteView more) override { bytes.insert(bytes.end(), more.begin(), more.end()); }
};

// One message encrypted by OpenSSL and decrypted by the server.
void message(benchmark::State& state, bool compact) {
  const Contexts contexts;
  EnginePair pair(*server_of(contexts, compact), *contexts.client());
  pair.run();
  Sink sink;
  pair.client.engine->set_output(&sink);
  const std::vector<std::uint8_t> plain(static_cast<std::size_t>(state.range(0)), 'x');
  std::vector<std::uint8_t> out(Engine::kReadRoom);
  for (auto _ : state) {
    sink.bytes.clear();
    (void)pair.client.engine->write(plain);
    base::ByteView input = sink.bytes;
    benchmark::DoNotOptimize(pair.server.engine->read(input, out));
    benchmark::DoNotOptimize(pair.server.engine->read(input, out));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(message, openssl, false)->Arg(64)->Arg(1024)->Arg(16384);
BENCHMARK_CAPTURE(message, compact, true)->Arg(64)->Arg(1024)->Arg(16384);

// Heap of an idle connection's server side, in bytes, after a question and an answer.
void idle_connection(benchmark::State& state, bool compact) {
  constexpr int kConnections = 500;
  const Contexts contexts;
  const auto server = server_of(contexts, compact);
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
      pair.server.engine->forget_handshake();
      kept.push_back(std::move(pair.server.engine));
    }
    per_connection = static_cast<double>(mallinfo2().uordblks - before) / kConnections;
  }
  state.counters["bytes"] = per_connection;
}
BENCHMARK_CAPTURE(idle_connection, openssl, false)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(idle_connection, compact, true)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::tls
