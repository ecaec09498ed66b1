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

std::string member_key(std::string_view alias, std::string_view id) {
  std::string key(alias);
  key += '\0';
  key += id;
  return key;
}

TenantPtr found_in(const SharedMap<TenantPtr>& map, std::string_view key) {
  const TenantPtr* found = map.find(key);
  return found == nullptr ? nullptr : *found;
}

// Beyond so many changes a new index costs less than changing the old one.
constexpr std::size_t kChangesMax = 256;

}  // namespace

void CatalogSnapshot::Index::add(const TenantPtr& tenant, const TenantRevision& revision) {
  tenants.set(tenant->id, {tenant, revision});
  for (const std::string& name : tenant->sni_names) sni.set(lower(name), tenant);
  for (const std::string& name : tenant->databases) database.set(name, tenant);
  if (!tenant->cluster.empty()) member.set(member_key(tenant->cluster, tenant->id), tenant);
}

void CatalogSnapshot::Index::remove(const TenantSpec& tenant) {
  for (const std::string& name : tenant.sni_names) sni.erase(lower(name));
  for (const std::string& name : tenant.databases) database.erase(name);
  if (!tenant.cluster.empty()) member.erase(member_key(tenant.cluster, tenant.id));
  tenants.erase(tenant.id);
}

CatalogSnapshot::CatalogSnapshot(const std::vector<TenantPtr>& tenants, std::string default_tenant,
                                 std::uint64_t version, const TenantRevisions& revisions,
                                 std::string login_secret)
    : default_id_(std::move(default_tenant)), version_(version), login_secret_(std::move(login_secret)) {
  std::vector<SharedMap<Stored>::Entry> stored;
  std::vector<SharedMap<TenantPtr>::Entry> sni, databases, members;
  stored.reserve(tenants.size());
  for (const TenantPtr& tenant : tenants) {
    const auto revision = revisions.find(tenant->id);
    stored.emplace_back(tenant->id,
                        Stored{tenant, revision == revisions.end() ? TenantRevision{} : revision->second});
    for (const std::string& name : tenant->sni_names) sni.emplace_back(lower(name), tenant);
    for (const std::string& name : tenant->databases) databases.emplace_back(name, tenant);
    if (!tenant->cluster.empty()) members.emplace_back(member_key(tenant->cluster, tenant->id), tenant);
  }
  index_ = {.tenants = SharedMap<Stored>(std::move(stored)),
            .sni = SharedMap<TenantPtr>(std::move(sni)),
            .database = SharedMap<TenantPtr>(std::move(databases)),
            .member = SharedMap<TenantPtr>(std::move(members))};
}

CatalogSnapshot::CatalogSnapshot(std::uint64_t version, const CatalogSnapshot& before, Index index)
    : index_(std::move(index)),
      default_id_(before.default_id_),
      version_(version),
      login_secret_(before.login_secret_) {}

SnapshotPtr CatalogSnapshot::with(const std::vector<TenantChange>& changes, std::uint64_t version) const {
  if (changes.size() > kChangesMax) {
    std::unordered_map<std::string, Stored> all;
    index_.tenants.for_each([&](const std::string& id, const Stored& stored) { all[id] = stored; });
    for (const TenantChange& change : changes) all[change.id] = {change.tenant, change.revision};
    std::vector<TenantPtr> tenants;
    TenantRevisions revisions;
    for (const auto& [id, stored] : all) {
      if (stored.tenant == nullptr) continue;
      tenants.push_back(stored.tenant);
      revisions[id] = stored.revision;
    }
    return std::make_shared<const CatalogSnapshot>(tenants, default_id_, version, revisions, login_secret_);
  }
  Index index = index_;
  // First all names become free: one may move from one tenant to another.
  for (const TenantChange& change : changes) {
    if (const Stored* before = index_.tenants.find(change.id)) index.remove(*before->tenant);
  }
  for (const TenantChange& change : changes) {
    if (change.tenant != nullptr) index.add(change.tenant, change.revision);
  }
  return SnapshotPtr(new CatalogSnapshot(version, *this, std::move(index)));
}

TenantPtr CatalogSnapshot::by_id(std::string_view id) const {
  const Stored* found = index_.tenants.find(id);
  return found == nullptr ? nullptr : found->tenant;
}
TenantPtr CatalogSnapshot::by_sni(std::string_view server_name) const {
  return found_in(index_.sni, lower(server_name));
}
TenantPtr CatalogSnapshot::by_database(std::string_view name) const {
  return found_in(index_.database, name);
}
TenantPtr CatalogSnapshot::default_tenant() const {
  return by_id(default_id_);
}

std::vector<TenantPtr> CatalogSnapshot::members_of(std::string_view alias) const {
  std::vector<TenantPtr> members;
  index_.member.for_each_from(member_key(alias, ""), [&](const std::string&, const TenantPtr& tenant) {
    if (tenant->cluster != alias) return false;
    members.push_back(tenant);
    return true;
  });
  return members;
}

TenantPtr CatalogSnapshot::by_cluster(std::string_view alias) const {
  for (const TenantPtr& tenant : members_of(alias)) {
    if (!tenant->cluster_standby && tenant->cluster_role == ClusterRole::kWrite) return tenant;
  }
  return nullptr;
}

const std::vector<TenantPtr>& CatalogSnapshot::tenants() const {
  std::call_once(listed_, [this] {
    list_.reserve(size());
    index_.tenants.for_each(
        [this](const std::string&, const Stored& stored) { list_.push_back(stored.tenant); });
  });
  return list_;
}

TenantRevision CatalogSnapshot::revision_of(std::string_view id) const {
  const Stored* found = index_.tenants.find(id);
  return found == nullptr ? TenantRevision{} : found->revision;
}

const UserSpec* CatalogSnapshot::find_user(const TenantSpec& tenant, std::string_view name) {
  const auto found = std::ranges::find(tenant.users, name, &UserSpec::name);
  return found == tenant.users.end() ? nullptr : &*found;
}

}  // namespace penstock::model
