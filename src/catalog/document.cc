#include "catalog/document.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/field_checks.h"
#include "catalog/json_fields.h"
#include "catalog/rotation.h"
#include "catalog/tenant_fields.h"
#include "catalog/yaml.h"
#include "config/suggest.h"

namespace penstock::catalog {

namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::UserSpec;

std::unexpected<base::Error> refuse(std::string_view path, std::string_view text, std::string hint = {}) {
  return base::fail(base::kInvalidParameterValue, fmt::format("{}: {}", path, text), {}, std::move(hint));
}

template <class Spec>
std::unexpected<base::Error> unknown_field(const FieldTable<Spec>& table, std::string_view path,
                                           std::string_view name) {
  std::vector<std::string_view> names;
  for (const Field<Spec>& field : table) names.push_back(field.name);
  const std::string_view nearest = config::nearest(name, names);
  return refuse(path, fmt::format("there is no field \"{}\"", name),
                nearest.empty() ? "" : fmt::format("Did you mean \"{}\"?", nearest));
}

// What others are told of a secret: {"kind":"password"}.
bool is_described_secret(FieldKind kind, const json::value& value) {
  return kind == FieldKind::kSecret && value.is_object() && value.get_object().contains("kind");
}

// `keys`: names that are no fields. `on_set` is told the fields that the object speaks of.
template <class Spec, class OnSet>
base::Status set_fields(const json::object& object, const FieldTable<Spec>& table,
                        const std::set<std::string_view>& keys, const std::string& path, Spec& spec,
                        OnSet on_set) {
  for (const auto& part : object) {
    const std::string_view name(part.key().data(), part.key().size());
    if (keys.contains(name)) continue;
    const Field<Spec>* field = find_field(table, name);
    if (field == nullptr) return unknown_field(table, path, name);
    if (is_described_secret(field->kind, part.value())) continue;
    base::Result<Values> values =
        part.value().is_null() ? Values() : values_of(field->kind, name, part.value());
    base::Status status;
    if (!values) {
      status = base::fail(values.error());
    } else {
      status = set_field(*field, spec, *values);
    }
    if (!status) return refuse(path, status.error().message);
    on_set(*field);
  }
  return {};
}

base::Result<std::string> key_of(const json::object& object, const char* key, std::string_view path) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return refuse(path, fmt::format("\"{}\" is missing", key));
  if (!value->is_string()) return refuse(path, fmt::format("\"{}\" must be a text", key));
  return std::string(value->get_string());
}

base::Status read_users(const json::value& list, TenantEntry& entry, const std::string& path) {
  if (!list.is_array()) return refuse(path + ".users", "must be a list");
  entry.tells_users = true;
  for (const json::value& value : list.get_array()) {
    if (!value.is_object()) return refuse(path + ".users", "every user must be an object with a name");
    const base::Result<std::string> name = key_of(value.get_object(), "name", path + ".users");
    if (!name) return base::fail(name.error());
    const std::string user_path = fmt::format("{}.users.{}", path, *name);
    if (std::ranges::find(entry.spec.users, *name, &UserSpec::name) != entry.spec.users.end()) {
      return refuse(user_path, "must be listed once, not twice");
    }
    UserSpec user{.name = *name};
    const base::Status status = set_fields(value.get_object(), user_fields(), {"name", "tenant"}, user_path,
                                           user, [&](const UserField& field) {
                                             if (field.kind == FieldKind::kSecret)
                                               entry.told_secrets.emplace(*name, field.name);
                                           });
    if (!status) return status;
    entry.spec.users.push_back(std::move(user));
  }
  return {};
}

base::Result<json::value> parse(std::string_view text) {
  if (text.size() > kDocumentBytesMax)
    return base::fail(base::kInvalidParameterValue, "the document is too large");
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  if (!is_json) return parse_yaml(text);
  json::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error);
  if (error) {
    // Flow style of YAML looks like JSON, too; and its messages name the line.
    return parse_yaml(text);
  }
  return value;
}

}  // namespace

base::Result<TenantEntry> read_tenant_entry(const json::object& object, std::string_view id) {
  TenantEntry entry;
  if (object.contains("id") || id.empty()) {
    base::Result<std::string> own = key_of(object, "id", "tenants");
    if (!own) return base::fail(own.error());
    if (!id.empty() && *own != id) return refuse(fmt::format("tenants.{}.id", id), "cannot be changed");
    entry.spec.id = *std::move(own);
  } else {
    entry.spec.id = std::string(id);
  }
  const std::string path = "tenants." + entry.spec.id;
  if (const base::Status status = check_tenant_id(entry.spec.id); !status) {
    return refuse(path + ".id", status.error().message);
  }
  const base::Status status =
      set_fields(object, tenant_fields(), {"id", "users"}, path, entry.spec, [](const TenantField&) {});
  if (!status) return base::fail(status.error());
  if (const json::value* users = object.if_contains("users")) {
    if (const base::Status read = read_users(*users, entry, path); !read) return base::fail(read.error());
  }
  return entry;
}

base::Result<std::vector<TenantEntry>> read_document(std::string_view text) {
  const base::Result<json::value> parsed = parse(text);
  if (!parsed) return base::fail(parsed.error());
  const json::value* list = &*parsed;
  if (const json::object* object = parsed->if_object()) {
    list = object->if_contains("tenants");
    if (list == nullptr || object->size() != 1) {
      return refuse("document", "must be an object with \"tenants\" only, or a list of tenants");
    }
  }
  std::vector<TenantEntry> entries;
  if (list->is_null()) return entries;
  if (!list->is_array()) return refuse("tenants", "must be a list");
  std::set<std::string> ids;
  for (const json::value& value : list->get_array()) {
    if (!value.is_object()) return refuse("tenants", "every tenant must be an object with an id");
    base::Result<TenantEntry> entry = read_tenant_entry(value.get_object());
    if (!entry) return base::fail(entry.error());
    if (!ids.insert(entry->spec.id).second) {
      return refuse("tenants." + entry->spec.id, "must be listed once, not twice");
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

TenantSpec merge(const TenantEntry& entry, const TenantSpec* stored) {
  TenantSpec tenant = entry.spec;
  if (stored == nullptr) return tenant;
  if (!entry.tells_users) {
    tenant.users = stored->users;
    return tenant;
  }
  for (UserSpec& user : tenant.users) {
    const auto old = std::ranges::find(stored->users, user.name, &UserSpec::name);
    if (old == stored->users.end()) continue;
    for (const UserField& field : user_fields()) {
      const bool is_silent =
          field.kind == FieldKind::kSecret && !entry.told_secrets.contains({user.name, field.name});
      if (is_silent) (void)field.set(user, field.get(*old));
    }
    if (entry.told_secrets.contains({user.name, "previous_secret"})) continue;
    if (!user.previous_secret_until) user.previous_secret_until = old->previous_secret_until;
    (void)settle_previous(*old, user, std::nullopt, {});  // fails only where something is to be kept
  }
  return tenant;
}

std::string write_document(const std::vector<TenantSpec>& tenants, DocumentFormat format,
                           WithSecrets with_secrets) {
  const Secrets secrets = with_secrets == WithSecrets::kYes ? Secrets::kTold : Secrets::kLeftOut;
  json::array list;
  for (const TenantSpec& tenant : tenants) {
    json::object object{{"id", tenant.id}};
    add_fields(object, tenant_fields(), tenant, secrets);
    json::array users;
    for (const UserSpec& user : tenant.users) {
      json::object part{{"name", user.name}};
      add_fields(part, user_fields(), user, secrets);
      users.push_back(std::move(part));
    }
    object["users"] = std::move(users);
    list.push_back(std::move(object));
  }
  const json::value document = json::object{{"tenants", std::move(list)}};
  return format == DocumentFormat::kYaml ? to_yaml(document) : json::serialize(document) + "\n";
}

}  // namespace penstock::catalog
