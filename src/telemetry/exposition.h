// Exposition writes metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
//
//     Exposition out(Exposition::Form::kPrometheus);
//     out.begin(Metric::kTenants);
//     out.sample({}, 7);
//
// A scrape of thousands of pools is half a million lines: labels that many series share are written down once
// (LabelText), a line is one growth of the text, and whoever does not want all of it at once takes it in parts.
//
// Invariants: every series of a metric stands below its one begin(). Labels from outside are escaped.
// See:        https://prometheus.io/docs/instrumenting/exposition_formats/, OpenMetrics 1.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "telemetry/histogram.h"
#include "telemetry/metric_table.h"

namespace penstock::telemetry {

using Label = std::pair<std::string_view, std::string_view>;
using Labels = std::span<const Label>;

// Labels as they stand in a line: tenant="t",user="u".
class LabelText {
 public:
  explicit LabelText(Labels labels);
  std::string_view text() const { return text_; }

 private:
  std::string text_;
};

class Exposition {
 public:
  enum class Form : std::uint8_t { kPrometheus, kOpenMetrics };
  explicit Exposition(Form form) : form_(form) {}

  void begin(Metric metric);
  void sample(Labels labels, std::uint64_t value) { sample(LabelText(labels), value); }
  void sample(Labels labels, double value) { sample(LabelText(labels), value); }
  void sample(const LabelText& labels, std::uint64_t value);
  void sample(const LabelText& labels, double value);
  // With one more label, whose value is a word of ours: it needs no escaping.
  void sample(const LabelText& labels, const Label& more, std::uint64_t value);
  void histogram(const LabelText& labels, const CoarseHistogram& histogram);

  // How much there is to take, and all of that; writing goes on behind it.
  std::size_t size() const { return text_.size(); }
  std::string take() { return std::exchange(text_, {}); }
  // Nothing follows; gives what has not been taken.
  std::string finish();

  static std::string_view content_type(Form form);
  // What a scraper that sends this Accept header wants.
  static Form form_for(std::string_view accept);

 private:
  void line(std::string_view suffix, const LabelText& labels, const Label& more, std::string_view value);
  Form form_;
  std::string family_;  // the name without _total or _info
  std::string suffix_;
  std::string text_;
};

}  // namespace penstock::telemetry
