#include "catalog/audit.h"

#include <fmt/format.h>

#include <map>

#include "catalog/tenant_fields.h"

namespace penstock::catalog {

namespace {

using model::TenantSpec;
using model::UserSpec;

template <class Spec>
void add_difference(std::vector<std::string>& fields, const FieldTable<Spec>& table, const Spec& before,
                    const Spec& after, const std::string& prefix) {
  for (const Field<Spec>& field : table) {
    if (field.get(before) != field.get(after)) fields.push_back(prefix + field.name);
  }
}

}  // namespace

std::vector<std::string> abridged(std::vector<std::string> fields) {
  if (fields.size() <= kAuditFieldsMax) return fields;
  const std::size_t more = fields.size() - kAuditFieldsMax;
  fields.resize(kAuditFieldsMax);
  fields.push_back(fmt::format("… and {} more", more));
  return fields;
}

std::vector<std::string> changed_fields(const std::optional<TenantSpec>& before,
                                        const std::optional<TenantSpec>& after) {
  std::vector<std::string> fields;
  const TenantSpec nothing;
  const TenantSpec& old = before ? *before : nothing;
  const TenantSpec& fresh = after ? *after : nothing;
  if (before && after) add_difference(fields, tenant_fields(), old, fresh, "");

  std::map<std::string, std::pair<const UserSpec*, const UserSpec*>> users;
  for (const UserSpec& user : old.users) users[user.name].first = &user;
  for (const UserSpec& user : fresh.users) users[user.name].second = &user;
  for (const auto& [name, pair] : users) {
    const std::string path = "users." + name;
    if (pair.first == nullptr || pair.second == nullptr) {
      fields.push_back(path);
    } else {
      add_difference(fields, user_fields(), *pair.first, *pair.second, path + ".");
    }
  }
  return fields;
}

}  // namespace penstock::catalog
