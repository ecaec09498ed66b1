// Prometheus' text format, as far as a server of ours writes it: one sample after the other.
//
// Home: any thread (pure functions).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::cli {

struct MetricSample {
  std::string_view name = {};
  std::vector<std::pair<std::string_view, std::string>> labels = {};
  double value = 0;

  // Empty when there is none of that name.
  std::string_view label(std::string_view wanted) const;
};

// Lines that are no samples are passed over.
void for_each_sample(std::string_view text, const std::function<void(const MetricSample&)>& call);

}  // namespace penstock::cli
