// What a plan (catalog/plan.h) would change, for people.
//
//   ~ tenant acme
//       pool_size: 20 -> 40
//       + user app
//           secret: set
//   - tenant old, with 3 users
//
// Home: any thread (pure functions).
#pragma once

#include <boost/json.hpp>
#include <string>

namespace penstock::cli {

std::string words_of_plan(const boost::json::object& plan);
// "1 to add, 2 to change, 0 to remove"
std::string count_of_plan(const boost::json::object& plan);

}  // namespace penstock::cli
