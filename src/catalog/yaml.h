// YAML as far as it is JSON in another dress: objects, lists and scalars.
//
// Home:   any thread (pure functions).
// Errors: kInvalidParameterValue with line and column.
// Bounds: kYamlNodesMax nodes, kYamlDepthMax levels, aliases counted each time they are used.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::catalog {

inline constexpr std::size_t kYamlNodesMax = 5'000'000;
inline constexpr int kYamlDepthMax = 16;

// Every scalar is a text, but for null: what it means, its field decides.
base::Result<boost::json::value> parse_yaml(std::string_view text);

// The line on which each place stands, names and numbers from the root on; 0: not known. Of JSON as well. Where a
// place does not exist, its nearest ancestor counts.
std::vector<int> lines_of(std::string_view text, const std::vector<std::vector<std::string>>& places);

std::string to_yaml(const boost::json::value& value);

}  // namespace penstock::catalog
