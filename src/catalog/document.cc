#include "catalog/document.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/json_fields.h"
#include "catalog/rotation.h"
#include "catalog/tenant_fields.h"
#include "catalog/yaml.h"

namespace penstock::catalog {

namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::UserSpec;

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

// Every "${" becomes "$${".
void quote(json::value& value) {
  if (json::string* text = value.if_string()) {
    for (std::size_t at = text->find("${"); at != json::string::npos; at = text->find("${", at + 3)) {
      text->insert(at, "$");
    }
  } else if (json::array* list = value.if_array()) {
    for (json::value& part : *list) quote(part);
  } else if (json::object* object = value.if_object()) {
    for (auto& part : *object) quote(part.value());
  }
}

// Null: what was told is that the field is not set.
template <class Spec>
void add_told_empty(json::object& object, const FieldTable<Spec>& table, const Spec& spec,
                    const auto& is_told) {
  for (const Field<Spec>& field : table) {
    if (is_told(field.name) && field.get(spec).empty()) object[field.name] = nullptr;
  }
}

}  // namespace

Document read_document(std::string_view text, const References& references) {
  const base::Result<json::value> parsed = parse(text);
  if (!parsed) return {.entries = {}, .mistakes = {{.text = parsed.error().message}}};
  Document document = read_parsed_document(*parsed, references);
  find_lines(text, document.mistakes);
  return document;
}

void find_lines(std::string_view text, Mistakes& mistakes) {
  std::vector<Place> places;
  for (const Mistake& mistake : mistakes) places.push_back(mistake.place);
  const std::vector<int> lines = mistakes.empty() ? std::vector<int>() : lines_of(text, places);
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    if (mistakes[i].line == 0) mistakes[i].line = lines[i];
  }
}

base::Error error_of(const Mistakes& mistakes) {
  base::Error error{.sqlstate = base::kInvalidParameterValue};
  for (const Mistake& mistake : mistakes) {
    if (&mistake == &mistakes.front()) {
      error.message = mistake.to_string();
      error.hint = mistake.hint;
    } else {
      error.detail += (error.detail.empty() ? "" : " ") + mistake.to_string() + ".";
    }
  }
  return error;
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

json::object document_of(const std::vector<TenantSpec>& tenants, WithSecrets with_secrets) {
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
  return {{"tenants", std::move(list)}};
}

std::string write_document(const std::vector<TenantSpec>& tenants, DocumentFormat format,
                           WithSecrets with_secrets) {
  const json::value document = document_of(tenants, with_secrets);
  return format == DocumentFormat::kYaml ? to_yaml(document) : json::serialize(document) + "\n";
}

json::object without_references(json::object document) {
  for (auto& part : document) quote(part.value());
  return document;
}

json::object json_of(const std::vector<TenantEntry>& entries) {
  json::array list;
  for (const TenantEntry& entry : entries) {
    json::object object{{"id", entry.spec.id}};
    add_fields(object, tenant_fields(), entry.spec, Secrets::kTold);
    add_told_empty(object, tenant_fields(), entry.spec,
                   [&](const std::string& field) { return entry.told.contains(field); });
    json::array users;
    for (const UserSpec& user : entry.spec.users) {
      json::object part{{"name", user.name}};
      add_fields(part, user_fields(), user, Secrets::kTold);
      add_told_empty(part, user_fields(), user, [&](const std::string& field) {
        return entry.told_secrets.contains({user.name, field});
      });
      users.push_back(std::move(part));
    }
    if (entry.tells_users) object["users"] = std::move(users);
    list.push_back(std::move(object));
  }
  return {{"tenants", std::move(list)}};
}

}  // namespace penstock::catalog
