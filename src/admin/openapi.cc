#include <algorithm>

#include "admin/route.h"
#include "admin/schema.h"
#include "base/version.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;

constexpr std::string_view kDescription =
    "Tenants, pools and clients of a Penstock pooler. Every call but those marked as open needs a token, "
    "`Authorization: Bearer …`; what a token may do is in its claims. Errors are problem documents (RFC "
    "9457).";

json::object answer_with(std::string_view meaning, std::string_view schema, std::string_view media_type) {
  json::object answer{{"description", meaning}};
  if (!schema.empty()) {
    json::value what = schema == "text" ? json::value{{"type", "string"}} : json::value(reference_to(schema));
    answer["content"] = json::object{{media_type, json::object{{"schema", std::move(what)}}}};
  }
  return answer;
}

// What any route may answer, besides what it says itself.
void add_common_answers(const Route& route, json::object& answers) {
  const auto add = [&](const char* status, std::string_view meaning) {
    if (!answers.contains(status))
      answers[status] = answer_with(meaning, "Problem", "application/problem+json");
  };
  add("400", "The request is malformed.");
  if (route.scope != auth::Scope::kNone) add("403", "There is no token, or it does not allow this.");
  add("406", "The client does not take JSON.");
  add("429", "Too many requests from this address.");
  if (!route.body.empty()) {
    add("413", "The body is too long.");
    add("415", "The body is not JSON.");
  }
  const bool takes_anything = route.scope == auth::Scope::kNone || route.scope == auth::Scope::kMetrics;
  if (!takes_anything || !route.query.empty() || route.path.find('{') != std::string_view::npos) {
    const bool is_bare_order = route.body.empty() && route.method != "GET";
    add("422",
        is_bare_order
            ? "A value is not allowed (`errors` says which and why), or there is a body: this takes none."
            : "A value is not allowed; `errors` says which and why.");
  }
  add("503", "It cannot be done at the moment.");
  const bool may_change = route.scope == auth::Scope::kWrite;
  if (may_change) add("504", "It may have been done: the catalog's database was lost in the middle.");
}

json::array parameters_of(const Route& route) {
  json::array list;
  std::string_view rest = route.path;
  for (std::size_t open = rest.find('{'); open != std::string_view::npos; open = rest.find('{')) {
    const std::size_t close = rest.find('}');
    list.push_back({{"name", rest.substr(open + 1, close - open - 1)},
                    {"in", "path"},
                    {"required", true},
                    {"schema", {{"type", "string"}, {"minLength", 1}}}});
    rest.remove_prefix(close + 1);
  }
  for (const QueryParameter& parameter : route.query) {
    json::object schema{{"type", parameter.type}};
    if (parameter.type == "integer") {
      schema["minimum"] = 0;
      schema["maximum"] = parameter.most;
    }
    list.push_back({{"name", parameter.name},
                    {"in", "query"},
                    {"description", parameter.meaning},
                    {"schema", std::move(schema)}});
  }
  return list;
}

json::object operation_of(const Route& route) {
  json::object operation{
      {"operationId", route.name}, {"tags", json::array{route.tag}}, {"summary", route.summary}};
  if (auto parameters = parameters_of(route); !parameters.empty())
    operation["parameters"] = std::move(parameters);
  if (!route.body.empty()) {
    operation["requestBody"] = {{"required", !route.body_optional},
                                {"content", {{"application/json", {{"schema", reference_to(route.body)}}}}}};
  }
  json::object answers;
  for (const RouteAnswer& answer : route.answers) {
    answers[std::to_string(answer.status)] = answer_with(answer.meaning, answer.schema, answer.media_type);
  }
  add_common_answers(route, answers);
  operation["responses"] = std::move(answers);
  if (route.scope == auth::Scope::kNone) operation["security"] = json::array();
  return operation;
}

std::string lower(std::string_view method) {
  std::string text(method);
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

}  // namespace

std::string openapi_of(const Routes& routes) {
  json::object paths;
  for (const Route& route : routes) {
    if (!route.is_documented) continue;
    if (!paths.contains(route.path)) paths[route.path] = json::object();
    paths[route.path].as_object()[lower(route.method)] = operation_of(route);
  }
  const json::object document{
      {"openapi", "3.0.3"},
      {"info",
       {{"title", "Penstock"},
        {"version", base::kVersion},
        {"description", kDescription},
        {"license", {{"name", "Apache-2.0"}, {"url", "https://www.apache.org/licenses/LICENSE-2.0"}}}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", schemas()},
        {"securitySchemes",
         {{"bearer", {{"type", "http"}, {"scheme", "bearer"}, {"bearerFormat", "JWT"}}}}}}},
      {"security", json::array{json::object{{"bearer", json::array()}}}}};
  return json::serialize(document);
}

}  // namespace penstock::admin
