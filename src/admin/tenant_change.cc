#include "admin/tenant_change.h"

#include <algorithm>
#include <charconv>

#include "admin/audit_note.h"
#include "admin/problem.h"
#include "catalog/tenant_fields.h"

namespace penstock::admin {

namespace {

using model::TenantSpec;

// The number in a tag, which is what stands between quotation marks; 0, which no revision has: it is none of ours.
std::uint64_t revision_in(std::string_view tag) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(tag.data(), tag.data() + tag.size(), number);
  const bool is_whole = error == std::errc{} && (end == tag.data() + tag.size() || *end == '-');
  return is_whole ? number : 0;
}

// Of the revisions that the list of tags allows: the present one if it is among them, else the newest, which may have
// come since, by way of another node; 0: it allows none.
std::uint64_t revision_allowed(std::string_view tags, std::uint64_t present) {
  std::uint64_t allowed = 0;
  for (;;) {
    const std::size_t open = tags.find('"');
    if (open == std::string_view::npos) return allowed;
    const std::size_t close = tags.find('"', open + 1);
    if (close == std::string_view::npos) return allowed;
    const std::uint64_t number = revision_in(tags.substr(open + 1, close - open - 1));
    if (number == present && number != 0) return number;
    allowed = std::max(allowed, number);
    tags.remove_prefix(close + 1);
  }
}

// A token for some tenants only may not touch what is the operator's, neither here nor by way of removing the tenant and
// adding it again.
std::optional<http::Response> refuse_operators_part(const std::optional<TenantSpec>& before,
                                                    const std::optional<TenantSpec>& after) {
  const TenantSpec nothing;
  for (const catalog::TenantField& field : catalog::tenant_fields()) {
    const auto part = [&](const std::optional<TenantSpec>& tenant) {
      catalog::Values values = field.get(tenant ? *tenant : nothing);
      std::erase_if(values, [&](const std::string& value) { return !field.operators.covers(value); });
      return values;
    };
    if (field.operators.covers == nullptr || part(before) == part(after)) continue;
    return problem(403, "a token that is limited to tenants may not change tenant." + field.name,
                   field.operators.words);
  }
  return std::nullopt;
}

// The store compares it in the same transaction that makes the change.
std::expected<std::optional<std::uint64_t>, http::Response> expected_revision(
    const model::CatalogSnapshot& snapshot, const Call& call) {
  const std::string_view match = call.request.header("if-match");
  if (!match.empty() && match != "*") {
    const std::uint64_t number = revision_allowed(match, snapshot.revision_of(call.tenant()).number);
    if (number != 0) return number;
    return std::unexpected(problem(412, "If-Match is not an ETag of this tenant"));
  }
  // Of a user the edit sees whether there is one: refuse_presence().
  const bool is_of_tenant = !call.path.contains("user");
  if (is_of_tenant && call.request.header("if-none-match") == "*") return 0;
  return std::nullopt;
}

}  // namespace

http::Headers etag_of(const model::TenantRevision& revision, std::string_view more) {
  std::string tag = std::to_string(revision.number);
  if (!more.empty()) tag.append("-").append(more);
  return {{"ETag", '"' + tag + '"'}};
}

bool has_it_already(const Call& call, const http::Headers& tag) {
  const std::string_view known = call.request.header("if-none-match");
  return known == "*" || known.find(tag.front().second) != std::string_view::npos;
}

std::optional<http::Response> refuse_presence(const Call& call, std::string_view what, bool is_there) {
  if (is_there && call.request.header("if-none-match") == "*")
    return problem(412, std::string(what) + " exists already");
  if (!is_there && call.request.header("if-match") == "*")
    return problem(412, "there is no such " + std::string(what));
  return std::nullopt;
}

catalog::EditOptions edit_options(const Call& call) {
  return {.actor = actor_of(call),
          .effect = call.flag("dry_run") ? catalog::Effect::kDryRun : catalog::Effect::kStored};
}

namespace {

std::expected<catalog::Edited, http::Response> change(catalog::Catalog& catalog, const Call& call,
                                                      const TenantEdit& edit, catalog::EditOptions options) {
  const auto expected = expected_revision(*catalog.snapshot(), call);
  if (!expected) return std::unexpected(expected.error());
  options.expected_revision = *expected;
  std::optional<http::Response> refusal;
  const auto run = [&](std::optional<TenantSpec>& tenant) -> base::Status {
    if (!tenant && call.request.header("if-match") == "*") refusal = problem(412, "there is no such tenant");
    const std::optional<TenantSpec> before = tenant;
    if (!refusal) refusal = edit(tenant);
    if (!refusal && !call.grant.tenants.empty()) refusal = refuse_operators_part(before, tenant);
    if (refusal) return base::fail(base::kObjectNotInPrerequisiteState, "refused");
    return {};
  };
  auto edited = catalog.edit(call.tenant(), run, options);
  if (refusal) return std::unexpected(std::move(*refusal));
  if (!edited) return std::unexpected(problem(edited.error()));
  return std::move(*edited);
}

}  // namespace

std::expected<catalog::Edited, http::Response> change_tenant(catalog::Catalog& catalog, const Call& call,
                                                             const TenantEdit& edit) {
  return change(catalog, call, edit, edit_options(call));
}

std::expected<catalog::Edited, http::Response> try_change(catalog::Catalog& catalog, const Call& call,
                                                          const TenantEdit& edit) {
  catalog::EditOptions options = edit_options(call);
  options.effect = catalog::Effect::kDryRun;
  return change(catalog, call, edit, options);
}

}  // namespace penstock::admin
