#include "model/catalog_snapshot.h"

#include <algorithm>
#include <cctype>

namespace penstock::model {

namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

TenantPtr find(const std::unordered_map<std::string, TenantPtr>& index, const std::string& key) {
  const auto found = index.find(key);
  return found == index.end() ? nullptr : found->second;
}

}  // namespace

CatalogSnapshot::CatalogSnapshot(std::vector<TenantPtr> tenants, std::string default_tenant,
                                 std::uint64_t version, TenantRevisions revisions)
    : tenants_(std::move(tenants)), version_(version), revisions_(std::move(revisions)) {
  for (const TenantPtr& tenant : tenants_) {
    by_id_[tenant->id] = tenant;
    for (const std::string& name : tenant->sni_names) by_sni_[lower(name)] = tenant;
    for (const std::string& name : tenant->databases) by_database_[name] = tenant;
  }
  default_ = find(by_id_, default_tenant);
}

TenantPtr CatalogSnapshot::by_id(std::string_view id) const {
  return find(by_id_, std::string(id));
}
TenantPtr CatalogSnapshot::by_sni(std::string_view server_name) const {
  return find(by_sni_, lower(server_name));
}
TenantPtr CatalogSnapshot::by_database(std::string_view database) const {
  return find(by_database_, std::string(database));
}
TenantPtr CatalogSnapshot::default_tenant() const {
  return default_;
}

TenantRevision CatalogSnapshot::revision_of(std::string_view id) const {
  const auto found = revisions_.find(std::string(id));
  return found == revisions_.end() ? TenantRevision{} : found->second;
}

const UserSpec* CatalogSnapshot::find_user(const TenantSpec& tenant, std::string_view name) {
  const auto found = std::ranges::find(tenant.users, name, &UserSpec::name);
  return found == tenant.users.end() ? nullptr : &*found;
}

}  // namespace penstock::model
