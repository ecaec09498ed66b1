#include "catalog/store.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::catalog {

namespace {

using model::TenantSpec;
using model::UserSpec;

std::unexpected<base::Error> exists_already(std::string what) {
  return base::fail(base::kDuplicateObject, std::move(what) + " exists already");
}

base::Status status_of(const base::Result<Edited>& edited) {
  if (!edited) return base::fail(edited.error());
  return {};
}

}  // namespace

std::vector<model::TenantChange> changes_of(std::span<const Edited> changes) {
  std::vector<model::TenantChange> list;
  for (const Edited& change : changes) {
    list.push_back({.id = change.after ? change.after->id : change.before->id,
                    .tenant = change.after ? std::make_shared<const TenantSpec>(*change.after) : nullptr,
                    .revision = change.revision});
  }
  return list;
}

base::Error no_such_tenant(std::string_view tenant_id) {
  return {.sqlstate = base::kUndefinedObject,
          .message = fmt::format("tenant \"{}\" does not exist", tenant_id)};
}

base::Error no_such_user(std::string_view tenant_id, std::string_view name) {
  return {.sqlstate = base::kUndefinedObject,
          .message = fmt::format("user \"{}\" of tenant \"{}\" does not exist", name, tenant_id)};
}

base::Result<SealReport> Store::rotate_key(const Actor&) {
  return base::fail(base::kFeatureNotSupported, "this store does not seal secrets itself", {},
                    "`penstock catalog rotate-key` does it.");
}

base::Status Store::put_tenant(const TenantSpec& tenant, IfExists if_exists) {
  return status_of(edit(tenant.id, [&](std::optional<TenantSpec>& stored) -> base::Status {
    if (stored && if_exists == IfExists::kFail) {
      return exists_already(fmt::format("tenant \"{}\"", tenant.id));
    }
    stored = tenant;
    return {};
  }));
}

base::Status Store::remove_tenant(std::string_view tenant_id, const EditOptions& options) {
  EditOptions removal = options;
  removal.unreadable = Unreadable::kMayBeRemoved;
  return status_of(edit(
      tenant_id,
      [&](std::optional<TenantSpec>& stored) -> base::Status {
        if (!stored) return base::fail(no_such_tenant(tenant_id));
        stored.reset();
        return {};
      },
      removal));
}

base::Status Store::put_user(std::string_view tenant_id, const UserSpec& user, IfExists if_exists,
                             const EditOptions& options) {
  return status_of(edit(
      tenant_id,
      [&](std::optional<TenantSpec>& stored) -> base::Status {
        if (!stored) return base::fail(no_such_tenant(tenant_id));
        const auto found = std::ranges::find(stored->users, user.name, &UserSpec::name);
        if (found == stored->users.end()) {
          stored->users.push_back(user);
        } else if (if_exists == IfExists::kFail) {
          return exists_already(fmt::format("user \"{}\" of tenant \"{}\"", user.name, tenant_id));
        } else {
          *found = user;
        }
        return {};
      },
      options));
}

base::Status Store::remove_user(std::string_view tenant_id, std::string_view name,
                                const EditOptions& options) {
  return status_of(edit(
      tenant_id,
      [&](std::optional<TenantSpec>& stored) -> base::Status {
        if (!stored) return base::fail(no_such_tenant(tenant_id));
        const std::size_t removed =
            std::erase_if(stored->users, [&](const UserSpec& user) { return user.name == name; });
        if (removed == 0) return base::fail(no_such_user(tenant_id, name));
        return {};
      },
      options));
}

}  // namespace penstock::catalog
