#include "catalog/list.h"

#include <algorithm>

#include "catalog/admission.h"
#include "catalog/lower.h"

namespace penstock::catalog {

namespace {

bool mentions(const model::TenantSpec& tenant, const std::string& word) {
  const auto has = [&](std::string_view text) { return lower(text).contains(word); };
  return has(tenant.id) || has(tenant.upstream_database) ||
         std::ranges::any_of(tenant.hosts, [&](const model::HostPort& host) { return has(host.host); }) ||
         std::ranges::any_of(tenant.sni_names, has) || std::ranges::any_of(tenant.databases, has);
}

}  // namespace

Listing list(const model::CatalogSnapshot& snapshot, const ListQuery& query, model::WallTime now) {
  Listing page;
  const std::string word = lower(query.search);
  const std::vector<model::TenantPtr>& all = snapshot.tenants();
  auto tenant = all.begin();
  if (!query.after.empty()) {
    tenant =
        std::ranges::upper_bound(all, query.after, {}, [](const model::TenantPtr& each) { return each->id; });
  }
  for (; tenant != all.end(); ++tenant) {
    const bool is_banned = !refuse_banned(**tenant, now).has_value();
    if ((query.banned && *query.banned != is_banned) || !mentions(**tenant, word)) continue;
    if (page.tenants.size() == std::max<std::size_t>(1, query.limit)) {
      page.next = page.tenants.back()->id;
      break;
    }
    page.tenants.push_back(*tenant);
  }
  return page;
}

}  // namespace penstock::catalog
