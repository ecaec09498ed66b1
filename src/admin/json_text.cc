#include "admin/json_text.h"

#include <boost/json.hpp>

#include "base/utf8.h"

namespace penstock::admin {

std::string json_text(const boost::json::value& value) {
  // They can stand within strings only, where a backslash is written as two.
  return base::to_utf8(boost::json::serialize(value), R"(\\x)");
}

}  // namespace penstock::admin
