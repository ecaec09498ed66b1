#include "admin/tenant_change.h"

#include <fmt/format.h>

#include "admin/problem.h"
#include "auth/crypto.h"
#include "base/bytes.h"
#include "base/random.h"
#include "catalog/record.h"
#include "catalog/validate.h"

namespace penstock::admin {

namespace {

using model::TenantSpec;

// The tag is made of secrets too, so that a new password changes it; salted, so that nobody can try passwords on it.
const std::string& salt() {
  static const std::string kSalt = [] {
    base::SystemRandom random;
    std::uint8_t bytes[16];
    random.fill(bytes);
    return std::string(base::as_text(bytes));
  }();
  return kSalt;
}

bool lists(std::string_view tags, std::string_view tag) {
  return tags == "*" || tags.find('"' + std::string(tag) + '"') != std::string_view::npos;
}

std::optional<http::Response> check_precondition(const Call& call, const std::optional<TenantSpec>& tenant) {
  const std::string_view wanted = call.request.header("if-match");
  if (!wanted.empty() && (!tenant || !lists(wanted, etag_of(*tenant)))) {
    return problem(412, "the tenant is not what If-Match says",
                   "Read it again, and repeat the change with its ETag.");
  }
  const std::string_view unwanted = call.request.header("if-none-match");
  if (!unwanted.empty() && tenant && lists(unwanted, etag_of(*tenant))) {
    return problem(412, "the tenant exists already");
  }
  return std::nullopt;
}

// What the store would say, without telling it.
base::Status try_out(const catalog::Catalog& catalog, const std::optional<TenantSpec>& after) {
  if (!after) return {};
  if (auto good = catalog::refuse_errors(catalog::problems_of(*after)); !good) return good;
  std::vector<model::TenantPtr> all;
  for (const model::TenantPtr& tenant : catalog.snapshot()->tenants()) {
    if (tenant->id != after->id) all.push_back(tenant);
  }
  all.push_back(std::make_shared<const TenantSpec>(*after));
  return catalog::refuse_errors(catalog::problems_of(model::CatalogSnapshot(std::move(all))));
}

}  // namespace

std::string etag_of(const TenantSpec& tenant) {
  std::string text = salt() + tenant.id + '\n' + catalog::record_of(tenant);
  for (const model::UserSpec& user : tenant.users) text += '\n' + user.name + catalog::record_of(user);
  const auth::Key hash = auth::sha256(base::as_bytes(text));
  std::string tag;
  for (std::size_t i = 0; i < 12; ++i) tag += fmt::format("{:02x}", hash.data()[i]);
  return tag;
}

std::expected<Changed, http::Response> change_tenant(catalog::Catalog& catalog, const Call& call,
                                                     const TenantEdit& edit) {
  Changed changed;
  std::optional<http::Response> refusal;
  const auto run = [&](std::optional<TenantSpec>& tenant) -> base::Status {
    changed.before = tenant;
    refusal = check_precondition(call, tenant);
    if (!refusal) refusal = edit(tenant);
    if (refusal) return base::fail(base::kObjectNotInPrerequisiteState, "refused");
    changed.after = tenant;
    return {};
  };
  base::Status status;
  if (call.flag("dry_run")) {
    const model::TenantPtr stored = catalog.snapshot()->by_id(call.tenant());
    std::optional<TenantSpec> tenant;
    if (stored != nullptr) tenant = *stored;
    status = run(tenant);
    if (status) status = try_out(catalog, changed.after);
  } else {
    if (auto edited = catalog.edit(call.tenant(), run); !edited) status = std::unexpected(edited.error());
  }
  if (refusal) return std::unexpected(std::move(*refusal));
  if (!status) return std::unexpected(problem(status.error()));
  return changed;
}

}  // namespace penstock::admin
