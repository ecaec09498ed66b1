#include "catalog/ban.h"

#include <fmt/format.h>

#include "catalog/timestamp.h"

namespace penstock::catalog {

void forget_ban(model::TenantSpec& tenant) {
  tenant.banned = false;
  tenant.ban_reason.clear();
  tenant.banned_until.reset();
  tenant.banned_at.reset();
}

base::Status settle_ban(const model::TenantSpec& before, model::TenantSpec& after, model::WallTime now) {
  if (!after.banned) return {};
  const bool is_as_before = before.banned && before.banned_until == after.banned_until;
  if (after.banned_until && *after.banned_until <= now && !is_as_before) {
    return base::fail(
        base::kInvalidParameterValue,
        fmt::format("banned_until: must be in the future, not \"{}\"", to_text(*after.banned_until)), {},
        "To end a ban, set banned to false.");
  }
  if (!after.banned_at) after.banned_at = now;
  return {};
}

base::Status settle_written_ban(const model::TenantSpec& before, model::TenantSpec& after,
                                model::WallTime now) {
  if (!after.banned || after.banned_at) return {};
  base::Status status = settle_ban(before, after, now);
  if (before.banned) after.banned_at = before.banned_at;
  return status;
}

}  // namespace penstock::catalog
