#include "cli/metrics_text.h"

#include <cstdlib>

namespace penstock::cli {

namespace {

// Takes `name="value"` from the front; false when it is not there.
bool take_label(std::string_view& rest, MetricSample& sample) {
  const std::size_t equals = rest.find("=\"");
  if (equals == std::string_view::npos) return false;
  const std::string_view name = rest.substr(0, equals);
  rest.remove_prefix(equals + 2);
  std::string value;
  while (!rest.empty() && rest.front() != '"') {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\' && !rest.empty()) {
      c = rest.front() == 'n' ? '\n' : rest.front();
      rest.remove_prefix(1);
    }
    value += c;
  }
  if (rest.empty()) return false;
  rest.remove_prefix(1);
  if (rest.starts_with(',')) rest.remove_prefix(1);
  sample.labels.emplace_back(name, std::move(value));
  return true;
}

bool parse(std::string_view line, MetricSample& sample) {
  const std::size_t end = line.find_first_of("{ ");
  if (end == 0 || end == std::string_view::npos) return false;
  sample.name = line.substr(0, end);
  line.remove_prefix(end);
  if (line.starts_with('{')) {
    line.remove_prefix(1);
    while (!line.starts_with('}')) {
      if (!take_label(line, sample)) return false;
    }
    line.remove_prefix(1);
  }
  if (!line.starts_with(' ')) return false;
  const std::string number(line.substr(1));
  char* parsed = nullptr;
  sample.value = std::strtod(number.c_str(), &parsed);
  return parsed != number.c_str();
}

}  // namespace

std::string_view MetricSample::label(std::string_view wanted) const {
  for (const auto& [key, text] : labels) {
    if (key == wanted) return text;
  }
  return {};
}

void for_each_sample(std::string_view text, const std::function<void(const MetricSample&)>& call) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    MetricSample sample;
    if (!line.starts_with('#') && parse(line, sample)) call(sample);
  }
}

}  // namespace penstock::cli
