#include "telemetry/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace penstock::telemetry {

namespace {

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

char* append(char* end, std::string_view text) {
  return std::copy(text.begin(), text.end(), end);
}

// A number in as few characters as it takes.
class Digits {
 public:
  explicit Digits(std::uint64_t value) : end_(std::to_chars(text_, std::end(text_), value).ptr) {}
  explicit Digits(double value) : end_(fmt::format_to(text_, "{}", value)) {}
  std::string_view view() const { return {text_, end_}; }

 private:
  char text_[32];
  char* end_;
};

double seconds(Nanoseconds time) {
  return static_cast<double>(time.count()) / 1e9;
}

// The limits of a CoarseHistogram, as labels.
const std::array<std::string, CoarseHistogram::kLimits + 1>& limits() {
  static const auto kTexts = [] {
    std::array<std::string, CoarseHistogram::kLimits + 1> texts;
    for (std::size_t i = 0; i < CoarseHistogram::kLimits; ++i) {
      texts[i] = Digits(seconds(CoarseHistogram::limit(i))).view();
    }
    texts.back() = "+Inf";
    return texts;
  }();
  return kTexts;
}

}  // namespace

LabelText::LabelText(Labels labels) {
  for (const auto& [name, value] : labels) {
    if (!text_.empty()) text_ += ',';
    text_ += name;
    text_ += "=\"";
    append_escaped(text_, value);
    text_ += '"';
  }
}

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

void Exposition::line(std::string_view suffix, const LabelText& labels, const Label& more,
                      std::string_view value) {
  const std::string_view text = labels.text();
  const std::size_t before = text_.size();
  // {,="} and the like: 8 are more than enough.
  const std::size_t most = family_.size() + suffix.size() + text.size() + more.first.size() +
                           more.second.size() + value.size() + 8;
  text_.resize_and_overwrite(before + most, [&](char* begin, std::size_t) {
    char* end = append(append(begin + before, family_), suffix);
    if (!text.empty() || !more.first.empty()) {
      *end++ = '{';
      end = append(end, text);
      if (!more.first.empty()) {
        if (!text.empty()) *end++ = ',';
        end = append(append(end, more.first), "=\"");
        end = append(append(end, more.second), "\"");
      }
      *end++ = '}';
    }
    *end++ = ' ';
    end = append(end, value);
    *end++ = '\n';
    return static_cast<std::size_t>(end - begin);
  });
}

void Exposition::sample(const LabelText& labels, std::uint64_t value) {
  line(suffix_, labels, {}, Digits(value).view());
}

void Exposition::sample(const LabelText& labels, double value) {
  line(suffix_, labels, {}, Digits(value).view());
}

void Exposition::sample(const LabelText& labels, const Label& more, std::uint64_t value) {
  line(suffix_, labels, more, Digits(value).view());
}

void Exposition::histogram(const LabelText& labels, const CoarseHistogram& histogram) {
  const auto& bounds = limits();
  for (std::size_t i = 0; i < CoarseHistogram::kLimits; ++i) {
    line("_bucket", labels, {"le", bounds[i]}, Digits(histogram.below(i)).view());
  }
  line("_bucket", labels, {"le", bounds.back()}, Digits(histogram.count()).view());
  line("_sum", labels, {}, Digits(seconds(histogram.sum())).view());
  line("_count", labels, {}, Digits(histogram.count()).view());
}

std::string Exposition::finish() {
  text_ += "# EOF\n";  // in the text format a comment, as Supavisor ends as well
  return take();
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
