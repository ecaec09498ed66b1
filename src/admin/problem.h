// Problem documents (RFC 9457): how the API says that something was not done.
//
//   {"type":"about:blank","title":"Unprocessable Content","status":422,
//    "detail":"tenant.db_port: must be a whole number","errors":{"tenant.db_port":["must be a whole number"]}}
//
// `error` and `errors` are what clients of Supavisor's API look at; they are members like any other.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/message.h"

namespace penstock::admin {

// What is wrong with which field: "tenant.users.0.pool_size" → texts.
using FieldErrors = std::map<std::string, std::vector<std::string>>;

http::Response problem(int status, std::string_view detail, std::string_view hint = {});
http::Response problem(const FieldErrors& errors);  // 422
// The status follows from the SQLSTATE; a message "path: text" becomes a field error.
http::Response problem(const base::Error& error);
http::Response not_found(std::string_view what);

std::string_view title_of(int status);

}  // namespace penstock::admin
