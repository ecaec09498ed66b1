// What the API sends as JSON.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace penstock::admin {

// JSON is UTF-8 (RFC 8259), but names and messages of clients and servers need not be: their other bytes stand as \xff.
std::string json_text(const boost::json::value& value);

}  // namespace penstock::admin
