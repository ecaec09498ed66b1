// What classify_simple and classify_tag cost on the texts that pass most often.
#include <benchmark/benchmark.h>

#include <string>

#include "pgwire/command_tag.h"
#include "pgwire/sql_text.h"

namespace penstock::pgwire {
namespace {

void classify(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    auto found = classify_simple(text);
    benchmark::DoNotOptimize(found);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void BM_PgbenchSelect(benchmark::State& state) {
  classify(state, "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;");
}
void BM_Begin(benchmark::State& state) {
  classify(state, "BEGIN");
}
void BM_SetSetting(benchmark::State& state) {
  classify(state, "SET search_path TO a, b");
}
void BM_CommentAhead(benchmark::State& state) {
  classify(state, "/* controller='users', action='show', trace=00-4bf92f3577b34da6-00 */ SELECT 1");
}
void BM_SemicolonInString(benchmark::State& state) {
  classify(state, "INSERT INTO notes (title, body) VALUES ('a;b', 'it''s; fine') RETURNING id");
}
void BM_TenStatements(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += "UPDATE t SET a = a + 1 WHERE id = 17; ";
  classify(state, text);
}
void BM_LongText(benchmark::State& state) {
  classify(state, "SELECT 1 WHERE x IN (" + std::string(100'000, '1') + ")");
}
void BM_LongTextWithStrings(benchmark::State& state) {
  std::string text = "INSERT INTO t VALUES ('a;b')";
  while (text.size() < 100'000) text += ", ('some text of a row', 12345, 'more text')";
  classify(state, text);
}

void tag(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    auto found = classify_tag(text);
    benchmark::DoNotOptimize(found);
  }
}
void BM_TagSelect(benchmark::State& state) {
  tag(state, "SELECT 1");
}
void BM_TagCommit(benchmark::State& state) {
  tag(state, "COMMIT");
}
void BM_TagSet(benchmark::State& state) {
  tag(state, "SET");
}

BENCHMARK(BM_PgbenchSelect);
BENCHMARK(BM_Begin);
BENCHMARK(BM_SetSetting);
BENCHMARK(BM_CommentAhead);
BENCHMARK(BM_SemicolonInString);
BENCHMARK(BM_TenStatements);
BENCHMARK(BM_LongText);
BENCHMARK(BM_LongTextWithStrings);
BENCHMARK(BM_TagSelect);
BENCHMARK(BM_TagCommit);
BENCHMARK(BM_TagSet);

}  // namespace
}  // namespace penstock::pgwire
