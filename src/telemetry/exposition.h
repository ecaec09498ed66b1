// Exposition writes metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
//
//     Exposition out(Exposition::Form::kPrometheus);
//     out.begin(Metric::kTenants);
//     out.sample({}, 7);
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

class Exposition {
 public:
  enum class Form : std::uint8_t { kPrometheus, kOpenMetrics };
  explicit Exposition(Form form) : form_(form) {}

  void begin(Metric metric);
  void sample(Labels labels, std::uint64_t value);
  void sample(Labels labels, double value);
  void histogram(Labels labels, const HistogramSnapshot& histogram);
  std::string finish();

  static std::string_view content_type(Form form);
  // What a scraper that sends this Accept header wants.
  static Form form_for(std::string_view accept);

 private:
  void series(std::string_view suffix, Labels labels, std::string_view bound = {});
  Form form_;
  std::string family_;  // the name without _total or _info
  std::string suffix_;
  std::string text_;
};

}  // namespace penstock::telemetry
