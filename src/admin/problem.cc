#include "admin/problem.h"

#include <boost/json.hpp>

#include "admin/json_text.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;

constexpr std::string_view kProblemType = "application/problem+json";

http::Response make(int status, json::object members) {
  json::object object{{"type", "about:blank"}, {"title", title_of(status)}, {"status", status}};
  for (auto& member : members) object[member.key()] = std::move(member.value());
  return {.status = status, .content_type = std::string(kProblemType), .body = json_text(object)};
}

int status_of(base::SqlState state) {
  using namespace base;
  if (state == kInvalidParameterValue) return 422;
  if (state == SqlState("42704")) return 404;  // undefined_object
  if (state == SqlState("42710") || state == kObjectNotInPrerequisiteState) return 409;
  if (state == kSerializationFailure) return 412;  // the revision is another one
  if (state == kInvalidAuthorization) return 403;
  if (state == kFeatureNotSupported) return 501;
  if (state == kTransactionResolutionUnknown) return 504;  // the catalog's database was lost in the middle
  return 503;
}

// "tenants.acme.users.app.pool_size: must be …" → the path and the text; no path: an empty one.
std::pair<std::string, std::string> split(const std::string& message) {
  const std::size_t colon = message.find(": ");
  if (colon == std::string::npos || message.substr(0, colon).find(' ') != std::string::npos)
    return {{}, message};
  return {message.substr(0, colon), message.substr(colon + 2)};
}

}  // namespace

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Error";
  }
}

http::Response problem(int status, std::string_view detail, std::string_view hint) {
  json::object members{{"detail", detail}};
  if (!hint.empty()) members["hint"] = hint;
  if (status < 422 || status >= 503)
    members["error"] = status == 404 ? std::string_view("not found") : detail;
  return make(status, std::move(members));
}

http::Response problem(const FieldErrors& errors) {
  json::object fields;
  std::string detail;
  for (const auto& [path, texts] : errors) {
    fields[path] = json::array(texts.begin(), texts.end());
    if (detail.empty() && !texts.empty()) detail = path + ": " + texts.front();
  }
  return make(422, {{"detail", detail}, {"errors", std::move(fields)}});
}

http::Response problem(const base::Error& error) {
  const int status = status_of(error.sqlstate);
  if (status == 422) {
    const auto [path, text] = split(error.message);
    if (!path.empty()) return problem(FieldErrors{{path, {text}}});
  }
  http::Response response =
      problem(status, error.detail.empty() ? error.message : error.message + ". " + error.detail, error.hint);
  return response;
}

http::Response not_found(std::string_view what) {
  return problem(404, std::string(what) + " does not exist");
}

}  // namespace penstock::admin
