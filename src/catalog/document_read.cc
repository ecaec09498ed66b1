// Reading documents: from what JSON and YAML have in common to tenants, with every mistake and where it stands.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "catalog/document.h"
#include "catalog/field_checks.h"
#include "catalog/json_fields.h"
#include "catalog/tenant_fields.h"
#include "config/suggest.h"

namespace penstock::catalog {

namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::UserSpec;

// What others are told of a secret: {"kind":"password"}.
bool is_described_secret(FieldKind kind, const json::value& value) {
  return kind == FieldKind::kSecret && value.is_object() && value.get_object().contains("kind");
}

std::string_view wanted_type(FieldKind kind) {
  return kind == FieldKind::kList  ? "must be a list"
         : kind == FieldKind::kMap ? "must be an object of names and values"
                                   : "must be a single value";
}

bool is_name_of_variable(std::string_view name) {
  const auto fits = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') && std::ranges::all_of(name, fits);
}

class DocumentReader {
 public:
  explicit DocumentReader(const References& references) : references_(references) {}

  Document read(const json::value& root) {
    read_root(root);
    return std::move(document_);
  }

 private:
  // While it lives, what is read stands at this part of the place before.
  class Step {
   public:
    Step(Place& place, std::string part) : place_(place) { place_.push_back(std::move(part)); }
    ~Step() { place_.pop_back(); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Place& place_;
  };

  void refuse(std::string_view path, std::string text, std::string hint = {}) {
    document_.mistakes.push_back(
        {.path = std::string(path), .text = std::move(text), .hint = std::move(hint), .place = place_});
  }

  void read_root(const json::value& root);
  void read_tenant(const json::value& value);
  void read_users(const json::value& list, TenantEntry& entry, const std::string& path);
  void read_user(const json::value& value, TenantEntry& entry, const std::string& path);
  std::optional<std::string> key_of(const json::object& object, const char* key, const std::string& path);
  template <class Spec, class OnSet>
  void set_fields(const json::object& object, const FieldTable<Spec>& table,
                  const std::set<std::string_view>& keys, const std::string& path, Spec& spec, OnSet on_set);
  template <class Spec>
  void unknown_field(const FieldTable<Spec>& table, const std::string& path, std::string_view name);
  base::Result<json::value> resolve(FieldKind kind, const json::value& value) const;
  base::Result<std::string> expand(std::string_view text) const;

  const References& references_;
  Document document_;
  Place place_;
  std::set<std::string> ids_;
};

void DocumentReader::read_root(const json::value& root) {
  const json::value* list = &root;
  std::optional<Step> step;
  if (const json::object* object = root.if_object()) {
    list = object->if_contains("tenants");
    if (list == nullptr || object->size() != 1) {
      return refuse("", "document: must be an object with \"tenants\" only, or a list of tenants");
    }
    step.emplace(place_, "tenants");
  }
  if (list->is_null()) return;
  if (!list->is_array()) return refuse("tenants", "must be a list");
  for (std::size_t i = 0; i < list->get_array().size(); ++i) {
    const Step index(place_, std::to_string(i));
    read_tenant(list->get_array()[i]);
  }
}

void DocumentReader::read_tenant(const json::value& value) {
  if (!value.is_object()) return refuse("tenants", "every tenant must be an object with an id");
  const json::object& object = value.get_object();
  TenantEntry entry{.place = place_};
  std::optional<std::string> id = key_of(object, "id", "tenants");
  if (!id) return;
  entry.spec.id = *std::move(id);
  const std::string path = "tenants." + entry.spec.id;
  if (const base::Status status = check_tenant_id(entry.spec.id); !status) {
    const Step step(place_, "id");
    return refuse(path + ".id", status.error().message);
  }
  if (!ids_.insert(entry.spec.id).second) refuse(path, "must be listed once, not twice");
  set_fields(object, tenant_fields(), {"id", "users"}, path, entry.spec,
             [&](const TenantField& field) { entry.told.insert(field.name); });
  if (const json::value* users = object.if_contains("users")) read_users(*users, entry, path);
  document_.entries.push_back(std::move(entry));
}

void DocumentReader::read_users(const json::value& list, TenantEntry& entry, const std::string& path) {
  const Step step(place_, "users");
  if (!list.is_array()) return refuse(path + ".users", "must be a list");
  entry.tells_users = true;
  for (std::size_t i = 0; i < list.get_array().size(); ++i) {
    const Step index(place_, std::to_string(i));
    read_user(list.get_array()[i], entry, path);
  }
}

void DocumentReader::read_user(const json::value& value, TenantEntry& entry, const std::string& path) {
  if (!value.is_object()) return refuse(path + ".users", "every user must be an object with a name");
  const std::optional<std::string> name = key_of(value.get_object(), "name", path + ".users");
  if (!name) return;
  const std::string user_path = fmt::format("{}.users.{}", path, *name);
  if (std::ranges::find(entry.spec.users, *name, &UserSpec::name) != entry.spec.users.end()) {
    return refuse(user_path, "must be listed once, not twice");
  }
  UserSpec user{.name = *name};
  set_fields(value.get_object(), user_fields(), {"name", "tenant"}, user_path, user,
             [&](const UserField& field) {
               if (field.kind == FieldKind::kSecret) entry.told_secrets.emplace(*name, field.name);
             });
  entry.spec.users.push_back(std::move(user));
}

std::optional<std::string> DocumentReader::key_of(const json::object& object, const char* key,
                                                  const std::string& path) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) {
    refuse(path, fmt::format("\"{}\" is missing", key));
    return std::nullopt;
  }
  const Step step(place_, key);
  base::Result<json::value> text = resolve(FieldKind::kText, *value);
  if (text && text->is_string()) return std::string(text->get_string());
  refuse(path, text ? fmt::format("\"{}\" must be a text", key)
                    : fmt::format("\"{}\": {}", key, text.error().message));
  return std::nullopt;
}

// `keys`: names that are no fields. `on_set` is told the fields that the object speaks of.
template <class Spec, class OnSet>
void DocumentReader::set_fields(const json::object& object, const FieldTable<Spec>& table,
                                const std::set<std::string_view>& keys, const std::string& path, Spec& spec,
                                OnSet on_set) {
  for (const auto& part : object) {
    const std::string_view name(part.key().data(), part.key().size());
    if (keys.contains(name)) continue;
    const Step step(place_, std::string(name));
    const Field<Spec>* field = find_field(table, name);
    if (field == nullptr) {
      unknown_field(table, path, name);
      continue;
    }
    if (is_described_secret(field->kind, part.value())) continue;
    const std::string field_path = fmt::format("{}.{}", path, name);
    const base::Result<json::value> value = resolve(field->kind, part.value());
    if (!value) {
      refuse(field_path, value.error().message, value.error().hint);
      continue;
    }
    const base::Result<Values> values =
        value->is_null() ? Values() : values_of(field->kind, field->name, *value);
    if (!values) {
      refuse(field_path, std::string(wanted_type(field->kind)));
    } else if (const base::Status status = field->set(spec, *values); !status) {
      refuse(field_path, status.error().message);
    }
    on_set(*field);
  }
}

template <class Spec>
void DocumentReader::unknown_field(const FieldTable<Spec>& table, const std::string& path,
                                   std::string_view name) {
  std::vector<std::string_view> names;
  for (const Field<Spec>& field : table) names.push_back(field.name);
  const std::string_view nearest = config::nearest(name, names);
  refuse(path, fmt::format("there is no field \"{}\"", name),
         nearest.empty() ? "" : fmt::format("Did you mean \"{}\"?", nearest));
}

// --- references ---

base::Result<json::value> DocumentReader::resolve(FieldKind kind, const json::value& value) const {
  if (const json::string* text = value.if_string()) {
    base::Result<std::string> whole = expand(*text);
    if (!whole) return base::fail(whole.error());
    return json::value(json::string(*whole));
  }
  const json::object* object = value.if_object();
  const json::value* path = object == nullptr ? nullptr : object->if_contains("file");
  if (kind == FieldKind::kSecret && references_.file && path != nullptr && object->size() == 1) {
    if (!path->is_string()) return base::fail(base::kInvalidParameterValue, "\"file\" must be a text");
    const base::Result<std::string> expanded = expand(path->get_string());
    if (!expanded) return base::fail(expanded.error());
    base::Result<std::string> secret = references_.file(*expanded);
    if (!secret) return base::fail(secret.error());
    return json::value(json::string(*secret));
  }
  if (!references_.variable) return value;
  json::value copy = value;
  const auto expand_part = [&](json::value& part) -> base::Status {
    if (!part.is_string()) return {};
    base::Result<std::string> whole = expand(part.get_string());
    if (!whole) return base::fail(whole.error());
    part = json::string(*whole);
    return {};
  };
  base::Status status;
  if (json::array* list = copy.if_array()) {
    for (json::value& part : *list) {
      if (status) status = expand_part(part);
    }
  } else if (json::object* map = copy.if_object()) {
    for (auto& part : *map) {
      if (status) status = expand_part(part.value());
    }
  }
  if (!status) return base::fail(status.error());
  return copy;
}

base::Result<std::string> DocumentReader::expand(std::string_view text) const {
  std::string whole;
  while (references_.variable) {
    const std::size_t at = text.find("${");
    if (at == std::string_view::npos) break;
    if (at > 0 && text[at - 1] == '$') {  // "$${" means itself
      whole += text.substr(0, at - 1);
      whole += "${";
      text.remove_prefix(at + 2);
      continue;
    }
    const std::size_t end = text.find('}', at);
    const std::string name(end == std::string_view::npos ? "" : text.substr(at + 2, end - at - 2));
    if (!is_name_of_variable(name)) {
      return base::fail(base::kInvalidParameterValue, "\"${\" must begin a reference such as ${NAME}", {},
                        "Write \"$${\" for a \"${\" that means itself.");
    }
    const base::Result<std::string> value = references_.variable(name);
    if (!value) return value;
    whole += text.substr(0, at);
    whole += *value;
    text.remove_prefix(end + 1);
  }
  whole += text;
  return whole;
}

}  // namespace

Document read_parsed_document(const json::value& root, const References& references) {
  return DocumentReader(references).read(root);
}

}  // namespace penstock::catalog
