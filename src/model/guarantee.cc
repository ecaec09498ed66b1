#include "model/guarantee.h"

#include <algorithm>
#include <map>

namespace penstock::model {

const std::string& role_of(const UserSpec& user) {
  return user.upstream_user.empty() ? user.name : user.upstream_user;
}

int guaranteed_to(const TenantSpec& tenant, std::string_view role) {
  int most = 0;
  for (const UserSpec& user : tenant.users) {
    if (role_of(user) == role) most = std::max(most, user.guaranteed_pool_size.value_or(0));
  }
  return most;
}

int guaranteed_to_all(const TenantSpec& tenant) {
  std::map<std::string_view, int> roles;
  for (const UserSpec& user : tenant.users) {
    if (!user.guaranteed_pool_size.has_value()) continue;
    int& most = roles[role_of(user)];
    most = std::max(most, *user.guaranteed_pool_size);
  }
  int sum = 0;
  for (const auto& [role, guaranteed] : roles) sum += guaranteed;
  return sum;
}

}  // namespace penstock::model
