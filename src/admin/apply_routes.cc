// Tenants as code: many tenants as one document, made true in one transaction. See catalog/plan.h.
#include <map>

#include "admin/api.h"
#include "admin/problem.h"
#include "admin/tenant_change.h"
#include "catalog/plan.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using auth::Scope;
using catalog::Problem;

FieldErrors errors_of(const catalog::Mistakes& mistakes) {
  FieldErrors errors;
  for (const catalog::Mistake& mistake : mistakes) {
    errors[mistake.path.empty() ? "tenants" : mistake.path].push_back(
        mistake.hint.empty() ? mistake.text : mistake.text + ". " + mistake.hint);
  }
  return errors;
}

FieldErrors errors_of(const std::vector<Problem>& problems) {
  FieldErrors errors;
  for (const Problem& problem : problems) {
    if (problem.weight == Problem::Weight::kError) errors[problem.path].push_back(problem.text);
  }
  return errors;
}

using Revisions = std::map<std::string, std::uint64_t, std::less<>>;

// What the caller has seen may be older than the plan, which was made a moment ago. Nothing but what was shown may come
// true.
std::expected<Revisions, http::Response> expected_revisions(const Call& call, const catalog::Plan& plan) {
  Revisions revisions = revisions_of(plan);
  const json::value* expected = call.body.as_object().if_contains("expected");
  if (expected == nullptr || expected->is_null()) return revisions;
  for (const auto& [id, revision] : revisions) {
    if (expected->get_object().contains(id)) continue;
    return std::unexpected(problem(412, "tenant \"" + id + "\" has changed since the plan was made"));
  }
  for (const auto& [id, revision] : expected->get_object()) {
    revisions[std::string(id)] = revision.to_number<std::uint64_t>();
  }
  return revisions;
}

std::expected<catalog::Plan, http::Response> carry_out(Engine& engine, const Call& call,
                                                       const catalog::Document& document,
                                                       catalog::Prune prune) {
  catalog::Plan plan = make_plan(*engine.catalog().snapshot(), document.entries, prune);
  if (const FieldErrors errors = errors_of(plan.problems); !errors.empty())
    return std::unexpected(problem(errors));
  auto revisions = expected_revisions(call, plan);
  if (!revisions) return std::unexpected(std::move(revisions.error()));
  catalog::EditOptions options = edit_options(call);
  options.expected_revisions = *std::move(revisions);
  const auto done = engine.catalog().edit_all(
      [&](catalog::Tenants& tenants) -> base::Status {
        apply_plan(plan, tenants);
        return {};
      },
      options);
  if (!done) return std::unexpected(problem(done.error()));
  return plan;
}

void apply_document(Engine& engine, Call call) {
  const json::object& body = call.body.as_object();
  const catalog::Document document = catalog::read_parsed_document(body.at("tenants"));
  if (!document.mistakes.empty()) return call.respond(problem(errors_of(document.mistakes)));
  const json::value* prune = body.if_contains("prune");
  const bool prunes = prune != nullptr && prune->is_bool() && prune->get_bool();
  const catalog::Prune wish = prunes ? catalog::Prune::kYes : catalog::Prune::kNo;
  if (prunes && document.entries.empty()) {
    return call.respond(problem(
        FieldErrors{{"tenants", {"must name at least one tenant when the others shall be removed"}}}));
  }
  // What others have stored since the last look is planned with, not run into.
  (void)engine.catalog().poll();
  auto plan = carry_out(engine, call, document, wish);
  // News from another node's change may be on their way still.
  if (!plan && plan.error().status == 412 && engine.catalog().reload()) {
    plan = carry_out(engine, call, document, wish);
  }
  if (!plan) return call.respond(std::move(plan.error()));
  call.answer({{"data", json_of(*plan)}});
}

void export_document(Engine& engine, Call call) {
  std::vector<model::TenantSpec> tenants;
  for (const model::TenantPtr& tenant : engine.catalog().snapshot()->tenants()) {
    if (call.grant.allows_tenant(tenant->id)) tenants.push_back(*tenant);
  }
  call.answer(catalog::document_of(tenants, catalog::WithSecrets::kNo));
}

}  // namespace

Routes apply_routes(Engine& engine) {
  return {
      {.method = "POST",
       .path = "/api/apply",
       .name = "applyDocument",
       .tag = "tenants",
       .summary = "Makes tenants what a document says, all or nothing, and tells what changes",
       .scope = Scope::kWrite,
       .query = {{"dry_run", "boolean", "Only says what would come of it."}},
       .body = "ApplyWish",
       .answers = {{200, "What has changed, field by field.", "PlanAnswer"},
                   {409, "A tenant stands in the way.", "Problem", "application/problem+json"},
                   {412, "A tenant has changed since the revision in `expected`.", "Problem",
                    "application/problem+json"}},
       .act = [&engine](Call call) { apply_document(engine, std::move(call)); }},
      {.method = "GET",
       .path = "/api/export",
       .name = "exportDocument",
       .tag = "tenants",
       .summary = "All tenants and users as a document for POST /api/apply; without secrets",
       .filters = true,
       .answers = {{200, "The document.", "TenantDocument"}},
       .act = [&engine](Call call) { export_document(engine, std::move(call)); }},
  };
}

}  // namespace penstock::admin
