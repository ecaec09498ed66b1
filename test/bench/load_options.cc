#include "load_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

namespace penstock::bench {

namespace {

const std::map<std::string, LoadMode> kModes = {
    {"simple", LoadMode::kSimple},   {"extended", LoadMode::kExtended}, {"prepared", LoadMode::kPrepared},
    {"copyout", LoadMode::kCopyOut}, {"copyin", LoadMode::kCopyIn},     {"connect", LoadMode::kConnect},
    {"login", LoadMode::kLogin}};

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string summary(const Histogram& histogram) {
  const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1000; };
  return fmt::format(
      R"({{"count": {}, "mean": {:.1f}, "p50": {:.1f}, "p90": {:.1f}, "p99": {:.1f}, "p99.9": {:.1f}, "max": {:.1f}}})",
      histogram.count(), histogram.mean() / 1000, us(histogram.percentile(0.5)),
      us(histogram.percentile(0.9)), us(histogram.percentile(0.99)), us(histogram.percentile(0.999)),
      us(histogram.max()));
}

}  // namespace

void LoadTotals::add(const LoadTotals& other) {
  latency.merge(other.latency);
  login.merge(other.login);
  greeting.merge(other.greeting);
  queries += other.queries;
  queries_outside += other.queries_outside;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  segments_in += other.segments_in;
  resumed += other.resumed;
  overdue += other.overdue;
  unanswered += other.unanswered;
  for (const auto& [code, count] : other.errors) errors[code] += count;
  violations += other.violations;
  for (const std::string& what : other.first_violations) {
    if (first_violations.size() < 5) first_violations.push_back(what);
  }
}

LoadOptions read_load_options(int argc, char** argv) {
  LoadOptions options;
  std::string target = "127.0.0.1:6432";
  CLI::App app{
      "Many clients of a Postgres or of a pooler; every answer is checked. Prints one line of JSON."};
  app.add_option("--target", target, "address:port or socket path");
  app.add_option("--mode", options.mode, "simple, extended, prepared, copyout, copyin, connect or login")
      ->transform(CLI::CheckedTransformer(kModes));
  app.add_option("--clients", options.clients)->check(CLI::Range(1, 1'000'000));
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 64));
  app.add_option("--pipeline", options.pipeline, "queries per batch")->check(CLI::Range(1, 1000));
  app.add_option("--statements", options.statements, "named statements per client")
      ->check(CLI::Range(1, 1000));
  app.add_option("--repeat", options.repeat, "answers of so many times 17 bytes")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--rows", options.rows, "rows per answer")->check(CLI::Range(1, 1'000'000'000));
  app.add_option("--read-rate", options.read_rate,
                 "bytes per second that each client reads; 0: all there is");
  app.add_option("--receive-buffer", options.receive_buffer, "bytes the kernel may hold for each client");
  app.add_option("--rate", options.rate, "queries per second of all clients; 0: closed loop");
  app.add_option("--warmup", options.warmup_s, "seconds before measuring");
  app.add_option("--seconds", options.seconds, "to measure")->check(CLI::Range(0.0, 3600.0));
  app.add_option("--sources", options.sources, "addresses 127.0.0.x to connect from")
      ->check(CLI::Range(0, 65'000));
  app.add_option("--first-source", options.first_source, "the first x of them");
  app.add_option("--connecting", options.connecting_max, "connections begun at the same time, per thread");
  app.add_option("--connecting-seconds", options.connecting_s, "until all clients must be there");
  app.add_option("--first-client", options.first_client, "number of the first client");
  app.add_flag("--greet", options.greet, "each client asks one query right after its login");
  app.add_flag("--hold", options.hold, "wait for a line on standard input when all are connected");
  app.add_flag("--until-line", options.until_line,
               "measure until a line comes on standard input, or its end");
  app.add_flag("--segments", options.segments, "count the TCP segments that clients receive");
  app.add_flag("--tls", options.tls);
  app.add_flag("--tls-resume", options.tls_resume, "offer sessions of earlier connections (with --tls)");
  app.add_option("--names", options.names, "how many values {} in --user and --database takes")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--user", options.user);
  app.add_option("--password", options.password);
  app.add_option("--database", options.database);
  app.add_option("--watch", options.watch, "process whose CPU time is to be measured; may be repeated");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  const auto endpoint = Endpoint::parse(target);
  if (!endpoint) die("not an address: " + target);
  options.target = *endpoint;
  options.threads = std::min(options.threads, options.clients);
  return options;
}

std::string to_json(const LoadOptions& options, const LoadTotals& totals, double seconds,
                    const std::map<int, std::uint64_t>& cpu_ns) {
  std::vector<std::string> errors;
  for (const auto& [code, count] : totals.errors)
    errors.push_back(fmt::format("{}: {}", json_text(code), count));
  std::vector<std::string> violations;
  for (const std::string& what : totals.first_violations) violations.push_back(json_text(what));
  std::vector<std::string> watched;
  for (const auto& [pid, ns] : cpu_ns) watched.push_back(fmt::format("\"{}\": {}", pid, ns));
  std::vector<std::string> buckets;
  totals.latency.for_each([&](std::uint64_t edge, std::uint64_t count) {
    buckets.push_back(fmt::format("[{}, {}]", edge, count));
  });
  return fmt::format(
      R"({{"clients": {}, "seconds": {:.6f}, "queries": {}, "queries_outside": {}, "qps": {:.1f}, "latency_us": {}, "login_us": {}, "greeting_us": {}, )"
      R"("bytes_in": {}, "bytes_out": {}, "segments_in": {}, "resumed": {}, "overdue": {}, "unanswered": {}, "errors": {{{}}}, "violations": {}, )"
      R"("first_violations": [{}], "cpu_ns": {{{}}}, "histogram_ns": [{}]}})",
      options.clients, seconds, totals.queries, totals.queries_outside,
      static_cast<double>(totals.queries) / seconds, summary(totals.latency), summary(totals.login),
      summary(totals.greeting), totals.bytes_in, totals.bytes_out, totals.segments_in, totals.resumed,
      totals.overdue, totals.unanswered, fmt::join(errors, ", "), totals.violations,
      fmt::join(violations, ", "), fmt::join(watched, ", "), fmt::join(buckets, ", "));
}

}  // namespace penstock::bench
