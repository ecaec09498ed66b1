#include "telemetry/exposition.h"

#include <fmt/format.h>

namespace penstock::telemetry {

namespace {

// Of the 90 buckets of a Histogram, every eighth end: 50 µs, 200 µs, 800 µs, 3.2 ms … 210 s. A scrape of
// thousands of pools stays small, and bucket limits are exact: they are the histogram's own.
constexpr std::size_t kBucketStep = 2 * kStepsPerDoubling;

void append_escaped(std::string& text, std::string_view value) {
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
}

std::string seconds(Nanoseconds time) {
  return fmt::format("{}", static_cast<double>(time.count()) / 1e9);
}

}  // namespace

void Exposition::begin(Metric metric) {
  const MetricRow& row = row_of(metric);
  suffix_ = row.kind == MetricKind::kCounter ? "_total" : row.kind == MetricKind::kInfo ? "_info" : "";
  family_ = row.name.substr(0, row.name.size() - suffix_.size());
  // The text format knows no info, and its families carry the whole name.
  const bool is_open = form_ == Form::kOpenMetrics;
  const std::string_view type = row.kind == MetricKind::kCounter           ? "counter"
                                : row.kind == MetricKind::kHistogram       ? "histogram"
                                : row.kind == MetricKind::kInfo && is_open ? "info"
                                                                           : "gauge";
  const std::string name = is_open ? family_ : std::string(row.name);
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, row.help, name, type);
}

void Exposition::series(std::string_view suffix, Labels labels, std::string_view bound) {
  text_ += family_;
  text_ += suffix;
  if (!labels.empty() || !bound.empty()) {
    char separator = '{';
    for (const auto& [name, value] : labels) {
      text_ += separator;
      text_ += name;
      text_ += "=\"";
      append_escaped(text_, value);
      text_ += '"';
      separator = ',';
    }
    if (!bound.empty()) {
      text_ += separator;
      text_ += "le=\"";
      text_ += bound;
      text_ += '"';
    }
    text_ += '}';
  }
  text_ += ' ';
}

void Exposition::sample(Labels labels, std::uint64_t value) {
  series(suffix_, labels);
  fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void Exposition::sample(Labels labels, double value) {
  series(suffix_, labels);
  fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void Exposition::histogram(Labels labels, const HistogramSnapshot& histogram) {
  std::uint64_t so_far = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    so_far += histogram.in_bucket(bucket);
    if (bucket % kBucketStep != 0 || bucket + 1 == kBuckets) continue;
    series("_bucket", labels, seconds(bucket_end(bucket)));
    fmt::format_to(std::back_inserter(text_), "{}\n", so_far);
  }
  series("_bucket", labels, "+Inf");
  fmt::format_to(std::back_inserter(text_), "{}\n", so_far);
  series("_sum", labels);
  text_ += seconds(histogram.sum()) + '\n';
  series("_count", labels);
  fmt::format_to(std::back_inserter(text_), "{}\n", so_far);
}

std::string Exposition::finish() {
  text_ += "# EOF\n";  // in the text format a comment, as Supavisor ends as well
  return std::move(text_);
}

std::string_view Exposition::content_type(Form form) {
  return form == Form::kOpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                    : "text/plain; version=0.0.4; charset=utf-8";
}

Exposition::Form Exposition::form_for(std::string_view accept) {
  return accept.find("application/openmetrics-text") == std::string_view::npos ? Form::kPrometheus
                                                                               : Form::kOpenMetrics;
}

}  // namespace penstock::telemetry
