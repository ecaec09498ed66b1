#include "catalog/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/timestamp.h"
#include "model/network.h"

namespace penstock::catalog {

base::Status refuse_banned(const model::TenantSpec& tenant, model::WallTime now) {
  if (!tenant.banned || (tenant.banned_until && *tenant.banned_until <= now)) return {};
  return base::fail(
      base::kInvalidAuthorization, fmt::format("tenant is banned: {}", tenant.ban_reason),
      tenant.banned_until ? fmt::format("The ban ends at {}.", to_text(*tenant.banned_until)) : "");
}

base::Status admit(const model::TenantSpec& tenant, std::string_view address, model::WallTime now) {
  if (const base::Status status = refuse_banned(tenant, now); !status) return status;
  if (address.empty() || tenant.allow_list.empty()) return {};
  const auto holds_address = [&](const std::string& text) {
    const auto network = model::parse_network(text);
    return network && model::contains(*network, address);
  };
  if (std::ranges::any_of(tenant.allow_list, holds_address)) return {};
  return base::fail(base::kInvalidAuthorization,
                    fmt::format("connections from address \"{}\" are not allowed", address), {},
                    "The tenant's allow_list names the networks that may connect.");
}

}  // namespace penstock::catalog
