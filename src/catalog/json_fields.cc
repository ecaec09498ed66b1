#include "catalog/json_fields.h"

#include <fmt/format.h>

#include <optional>
#include <string>

namespace penstock::catalog {

namespace json = boost::json;

namespace {

// The text of a scalar; nothing for objects, arrays and null.
std::optional<std::string> scalar_text(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  return std::nullopt;
}

}  // namespace

json::value json_of(FieldKind kind, const Values& values, Secrets secrets) {
  switch (kind) {
    case FieldKind::kInteger:
      return std::stoll(values.front());
    case FieldKind::kBoolean:
      return values.front() == "true";
    case FieldKind::kList:
      return json::array(values.begin(), values.end());
    case FieldKind::kMap: {
      json::object map;
      for (const std::string& text : values) {
        const std::size_t equals = text.find('=');
        map[text.substr(0, equals)] = text.substr(equals + 1);
      }
      return map;
    }
    case FieldKind::kSecret:
      if (secrets != Secrets::kTold) return json::object{{"kind", describe_secret(values.front())}};
      break;
    case FieldKind::kText:
    case FieldKind::kMoment:
    case FieldKind::kDuration:
    case FieldKind::kWord:
      break;
  }
  return json::string(values.front());
}

base::Result<Values> values_of(FieldKind kind, std::string_view name, const json::value& value) {
  Values values;
  const auto add = [&](std::string_view prefix, const json::value& part) {
    const std::optional<std::string> text = scalar_text(part);
    if (text) values.push_back(std::string(prefix) + *text);
    return text.has_value();
  };
  bool fits = true;
  if (kind == FieldKind::kList && value.is_array()) {
    for (const json::value& part : value.get_array()) fits = fits && add("", part);
  } else if (kind == FieldKind::kMap && value.is_object()) {
    for (const auto& part : value.get_object()) {
      fits = fits && add(std::string(part.key()) + "=", part.value());
    }
  } else {
    fits = kind != FieldKind::kList && kind != FieldKind::kMap && add("", value);
  }
  if (!fits) {
    return base::fail(base::kConfigFileError, fmt::format("{}: has a value of the wrong type", name), {},
                      "A newer Penstock may have written it, or it was changed by hand.");
  }
  return values;
}

}  // namespace penstock::catalog
