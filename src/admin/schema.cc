#include "admin/schema.h"

#include <fmt/format.h>

#include <algorithm>

#include "admin/tenant_json.h"
#include "base/utf8.h"
#include "config/suggest.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;

constexpr std::string_view kReference = "#/components/schemas/";

std::string join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

void blame(FieldErrors& errors, const std::string& path, std::string text) {
  errors[path.empty() ? "body" : path].push_back(std::move(text));
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  return true;
}

void check_number(const json::object& schema, const json::value& value, const std::string& path,
                  FieldErrors& errors) {
  const double number = value.to_number<double>();
  const json::value* least = schema.if_contains("minimum");
  const json::value* most = schema.if_contains("maximum");
  if (least != nullptr && number < least->to_number<double>()) {
    blame(errors, path, "must be at least " + json::serialize(*least));
  }
  if (most != nullptr && number > most->to_number<double>()) {
    blame(errors, path, "must be at most " + json::serialize(*most));
  }
}

void check_text(const json::object& schema, std::string_view text, const std::string& path,
                FieldErrors& errors) {
  const json::value* least = schema.if_contains("minLength");
  const json::value* most = schema.if_contains("maxLength");
  if (least != nullptr && text.size() < least->to_number<std::size_t>())
    blame(errors, path, "can't be blank");
  if (most != nullptr && text.size() > most->to_number<std::size_t>()) {
    blame(errors, path, fmt::format("must be at most {} characters long", most->to_number<std::size_t>()));
  }
  if (text.find('\0') != std::string_view::npos) blame(errors, path, "must not contain a zero byte");
}

const json::value& resolved(const json::value& schema) {
  const json::value* reference = schema.as_object().if_contains("$ref");
  if (reference == nullptr) return schema;
  return schemas().at(std::string_view(reference->get_string()).substr(kReference.size()));
}

// Of a name that an object does not have: where it does belong, or which one looks like it.
std::string unknown(const json::value& properties, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& property : properties.as_object()) {
    const json::value* inner = resolved(property.value()).as_object().if_contains("properties");
    if (inner != nullptr && inner->as_object().contains(name)) {
      return fmt::format("is not known here; it belongs in \"{}\"", std::string_view(property.key()));
    }
    names.emplace_back(property.key());
  }
  const std::string_view nearest = config::nearest(name, names);
  if (nearest.empty()) return "is not known";
  return fmt::format("is not known; did you mean \"{}\"?", nearest);
}

void check_object(const json::object& schema, const json::object& object, const std::string& path,
                  FieldErrors& errors) {
  const json::value* properties = schema.if_contains("properties");
  if (const json::value* required = schema.if_contains("required")) {
    for (const json::value& name : required->as_array()) {
      if (!object.contains(name.get_string())) blame(errors, join(path, name.get_string()), "can't be blank");
    }
  }
  const json::value* others = schema.if_contains("additionalProperties");
  for (const auto& member : object) {
    const json::value* known =
        properties == nullptr ? nullptr : properties->as_object().if_contains(member.key());
    if (known != nullptr) {
      check(*known, member.value(), join(path, member.key()), errors);
    } else if (others != nullptr && others->is_bool() && !others->get_bool()) {
      blame(errors, join(path, member.key()), unknown(*properties, member.key()));
    } else if (others != nullptr && others->is_object()) {
      check(*others, member.value(), join(path, member.key()), errors);
    }
  }
}

}  // namespace

json::object reference_to(std::string_view component) {
  return {{"$ref", std::string(kReference) + std::string(component)}};
}

void check(const json::value& schema_value, const json::value& value, const std::string& path,
           FieldErrors& errors) {
  const json::object& schema = schema_value.as_object();
  if (schema.contains("$ref")) return check(resolved(schema_value), value, path, errors);
  if (value.is_null()) {
    const json::value* nullable = schema.if_contains("nullable");
    if (nullable != nullptr && nullable->get_bool()) return;
  }
  // What an answer tells of a secret may be sent back.
  if (schema.contains("writeOnly") && is_described_secret(value)) return;
  if (const json::value* type = schema.if_contains("type"); type && !has_type(value, type->get_string())) {
    return blame(errors, path, fmt::format("must be of type {}", std::string_view(type->get_string())));
  }
  if (const json::value* words = schema.if_contains("enum")) {
    const json::array& list = words->as_array();
    if (std::ranges::find(list, value) == list.end()) {
      blame(errors, path, "must be one of " + json::serialize(list));
    }
  }
  if (value.is_number()) check_number(schema, value, path, errors);
  if (value.is_string()) check_text(schema, value.get_string(), path, errors);
  if (value.is_object()) check_object(schema, value.get_object(), path, errors);
  const json::value* most = schema.if_contains("maxItems");
  if (value.is_array() && most != nullptr && value.get_array().size() > most->to_number<std::size_t>()) {
    return blame(errors, path,
                 fmt::format("must have at most {} entries, not {}", most->to_number<std::size_t>(),
                             value.get_array().size()));
  }
  const json::value* items = schema.if_contains("items");
  if (value.is_array() && items != nullptr) {
    std::size_t number = 0;
    for (const json::value& item : value.get_array()) {
      check(*items, item, join(path, std::to_string(number++)), errors);
    }
  }
}

}  // namespace penstock::admin
