// Route: one thing the API can do. The table of routes dispatches and validates requests, and the OpenAPI document is
// made from it, so that what is documented is what happens.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "auth/token.h"
#include "http/message.h"
#include "http/uri.h"

namespace penstock::admin {

// A request that may be acted on: its token allows it, its parameters and body are as the route says.
struct Call {
  http::Request request;
  http::Uri uri;
  std::map<std::string, std::string, std::less<>> path;  // what the placeholders stand for
  boost::json::value body;                               // null: the route takes none
  auth::Grant grant;
  http::Respond respond;

  const std::string& tenant() const { return path.find("external_id")->second; }
  // A parameter of the query that is a number, which the router has checked.
  std::size_t number(std::string_view name, std::size_t preset) const;
  bool flag(std::string_view name) const;
  std::string text(std::string_view name) const;
  void answer(const boost::json::value& value, int status = 200, http::Headers headers = {});
};

struct QueryParameter {
  std::string_view name;
  std::string_view type;  // "integer", "string", "boolean"
  std::string_view meaning;
  std::int64_t most = 0;  // of an integer; the least is 0
};

struct RouteAnswer {
  int status;
  std::string_view meaning;
  std::string_view schema = {};  // a component; empty: no body
  std::string_view media_type = "application/json";
};

struct Route {
  std::string_view method;
  std::string_view path;       // "/api/tenants/{external_id}"
  std::string_view name = {};  // operationId
  std::string_view tag = {};
  std::string_view summary = {};
  auth::Scope scope = auth::Scope::kRead;
  // Tokens that are good for some tenants only may use it although it names none: it shows them theirs alone.
  bool filters = false;
  bool is_documented = true;
  std::vector<QueryParameter> query = {};
  std::string_view body = {};  // a component; empty: none
  bool body_optional = false;
  std::vector<RouteAnswer> answers = {};
  std::function<void(Call)> act = {};

  bool names_tenant() const { return path.find("{external_id}") != std::string_view::npos; }
};

using Routes = std::vector<Route>;

// The OpenAPI 3.0 document of these routes.
std::string openapi_of(const Routes& routes);

}  // namespace penstock::admin
