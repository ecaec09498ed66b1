#include "catalog/record.h"

#include <fmt/format.h>

#include "catalog/json_fields.h"
#include "catalog/tenant_fields.h"
#include "catalog/timestamp.h"

namespace penstock::catalog {

namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::UserSpec;

std::unexpected<base::Error> broken(std::string_view what) {
  return base::fail(base::kConfigFileError, std::string(what), {},
                    "A newer Penstock may have written it, or it was changed by hand.");
}

std::string_view name_of(const TenantSpec&) {
  return {};
}
std::string_view name_of(const UserSpec& user) {
  return user.name;
}

// What binds a sealed secret to its place. No part can hold a zero byte.
std::string context_of(const Sealing& sealing, std::string_view user, std::string_view field) {
  return fmt::format("penstock{0}{1}{0}{2}{0}{3}", '\0', sealing.tenant, user, field);
}

json::value seal(const Sealing& sealing, std::string_view user, std::string_view field,
                 const std::string& plain) {
  const auth::SealedText sealed =
      sealing.keys->seal(plain, context_of(sealing, user, field), *sealing.random);
  return json::object{{"key", sealed.key}, {"sealed", sealed.text}};
}

base::Result<Values> unseal(const Sealing& sealing, std::string_view user, std::string_view field,
                            const json::object& object) {
  const json::value* key = object.if_contains("key");
  const json::value* text = object.if_contains("sealed");
  if (key == nullptr || text == nullptr || !key->is_string() || !text->is_string() || object.size() != 2) {
    return broken(fmt::format("{}: has a value of the wrong type", field));
  }
  const auth::Keyring none;
  const auth::Keyring& keys = sealing.keys != nullptr ? *sealing.keys : none;
  base::Result<std::string> plain =
      keys.unseal({.key = std::string(key->get_string()), .text = std::string(text->get_string())},
                  context_of(sealing, user, field));
  if (plain) return Values{*std::move(plain)};
  plain.error().message = fmt::format("{} {}", field, plain.error().message);
  return base::fail(plain.error());
}

template <class Spec>
base::Status set_fields(const FieldTable<Spec>& table, std::string_view record, Spec& spec,
                        const Sealing& sealing) {
  if (record.size() > kRecordBytesMax) return broken("the record is too long");
  json::error_code error;
  json::parse_options options;
  options.max_depth = 4;
  const json::value parsed = json::parse({record.data(), record.size()}, error, {}, options);
  if (error || !parsed.is_object()) return broken("the record is no JSON object");
  for (const auto& part : parsed.get_object()) {
    const std::string_view name(part.key().data(), part.key().size());
    const Field<Spec>* field = find_field(table, name);
    if (field == nullptr) return broken(fmt::format("the record has an unknown field \"{}\"", name));
    const bool is_sealed = field->kind == FieldKind::kSecret && part.value().is_object();
    const base::Result<Values> values = is_sealed
                                            ? unseal(sealing, name_of(spec), name, part.value().get_object())
                                            : values_of(field->kind, name, part.value());
    if (!values) return base::fail(values.error());
    if (const base::Status status = set_field(*field, spec, *values); !status) {
      return broken(status.error().message);
    }
  }
  return {};
}

json::object public_object(const UserSpec& user) {
  json::object object;
  object["name"] = user.name;
  add_fields(object, user_fields(), user, Secrets::kDescribed);
  return object;
}

json::object public_object(const TenantSpec& tenant) {
  json::object object;
  object["id"] = tenant.id;
  add_fields(object, tenant_fields(), tenant, Secrets::kDescribed);
  json::array users;
  for (const UserSpec& user : tenant.users) users.push_back(public_object(user));
  object["users"] = std::move(users);
  return object;
}

json::object public_object(const TenantSpec& tenant, const UserSpec& user) {
  json::object object;
  object["tenant"] = tenant.id;
  for (const auto& part : public_object(user)) object[part.key()] = part.value();
  return object;
}

}  // namespace

std::string record_of(const TenantSpec& tenant) {
  json::object object;
  add_fields(object, tenant_fields(), tenant, Secrets::kTold);
  return json::serialize(object);
}

std::string record_of(const UserSpec& user, const Sealing& sealing) {
  json::object object;
  add_fields(object, user_fields(), user, Secrets::kTold);
  const bool seals = sealing.keys != nullptr && !sealing.keys->empty();
  for (const Field<UserSpec>& field : user_fields()) {
    if (!seals || field.kind != FieldKind::kSecret) continue;
    const Values values = field.get(user);
    if (!values.empty()) object[field.name] = seal(sealing, user.name, field.name, values.front());
  }
  return json::serialize(object);
}

base::Status from_record(std::string_view record, TenantSpec& tenant, const Sealing& sealing) {
  return set_fields(tenant_fields(), record, tenant, sealing);
}
base::Status from_record(std::string_view record, UserSpec& user, const Sealing& sealing) {
  return set_fields(user_fields(), record, user, sealing);
}

std::vector<std::string> keys_of_secrets(std::string_view user_record) {
  std::vector<std::string> keys;
  json::error_code error;
  const json::value parsed = json::parse({user_record.data(), user_record.size()}, error);
  if (error || !parsed.is_object()) return keys;
  for (const Field<UserSpec>& field : user_fields()) {
    if (field.kind != FieldKind::kSecret) continue;
    const json::value* value = parsed.get_object().if_contains(field.name);
    if (value == nullptr) continue;
    const json::value* key = value->is_object() ? value->get_object().if_contains("key") : nullptr;
    keys.push_back(key != nullptr && key->is_string() ? std::string(key->get_string()) : std::string());
  }
  return keys;
}

json::array array_of(const std::vector<AuditEntry>& entries) {
  json::array list;
  for (const AuditEntry& entry : entries) {
    list.push_back(json::object{{"number", entry.number},
                                {"at", to_text(entry.at)},
                                {"actor", entry.actor.name},
                                {"origin", entry.actor.origin},
                                {"action", entry.action},
                                {"tenant", entry.tenant},
                                {"fields", json::array(entry.fields.begin(), entry.fields.end())},
                                {"revision", entry.revision}});
  }
  return list;
}

std::string json_of(const std::vector<AuditEntry>& entries) {
  return json::serialize(array_of(entries));
}

std::string json_of_list(const std::vector<std::string>& list) {
  return json::serialize(json::array(list.begin(), list.end()));
}

std::vector<std::string> list_from_json(std::string_view text) {
  std::vector<std::string> list;
  json::error_code error;
  const json::value parsed = json::parse({text.data(), text.size()}, error);
  if (error || !parsed.is_array()) return list;
  for (const json::value& part : parsed.get_array()) {
    if (part.is_string()) list.emplace_back(part.get_string());
  }
  return list;
}

std::string public_json(const TenantSpec& tenant) {
  return json::serialize(public_object(tenant));
}

std::string public_json(const std::vector<TenantSpec>& tenants) {
  json::array list;
  for (const TenantSpec& tenant : tenants) list.push_back(public_object(tenant));
  return json::serialize(list);
}

std::string public_json(const TenantSpec& tenant, const UserSpec& user) {
  return json::serialize(public_object(tenant, user));
}

std::string public_json_of_users(const std::vector<TenantSpec>& tenants) {
  json::array list;
  for (const TenantSpec& tenant : tenants) {
    for (const UserSpec& user : tenant.users) list.push_back(public_object(tenant, user));
  }
  return json::serialize(list);
}

}  // namespace penstock::catalog
