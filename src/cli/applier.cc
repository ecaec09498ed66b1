#include "cli/applier.h"

#include <algorithm>

namespace penstock::cli {

namespace {

namespace json = boost::json;
using catalog::Problem;
using Planned = std::expected<json::object, Refusal>;

std::unexpected<Refusal> refuse(const base::Error& error) {
  return std::unexpected(Refusal{.error = error});
}

class CatalogApplier final : public Applier {
 public:
  CatalogApplier(OpenCatalog catalog, catalog::Actor actor)
      : catalog_(std::move(catalog)), actor_(std::move(actor)) {}

  Planned plan(const std::vector<catalog::TenantEntry>& entries, catalog::Prune prune) override {
    const base::Result<model::SnapshotPtr> now = catalog_.store->load();
    if (!now) return refuse(now.error());
    plan_ = catalog::make_plan(**now, entries, prune);
    const bool has_errors = std::ranges::any_of(
        plan_.problems, [](const Problem& problem) { return problem.weight == Problem::Weight::kError; });
    if (has_errors) return std::unexpected(Refusal{.error = {}, .problems = plan_.problems});
    return json_of(plan_);
  }

  base::Status apply() override {
    const auto done = catalog_.store->edit_all(
        [this](catalog::Tenants& tenants) -> base::Status {
          catalog::apply_plan(plan_, tenants);
          return {};
        },
        {.actor = actor_, .expected_revisions = catalog::revisions_of(plan_)});
    if (!done) return base::fail(done.error());
    return {};
  }

 private:
  OpenCatalog catalog_;
  catalog::Actor actor_;
  catalog::Plan plan_;
};

// A problem document's fields: {"errors": {"tenants.acme.pool_size": ["must be …"]}}.
std::vector<Problem> problems_in(const http::Answer& answer) {
  std::vector<Problem> problems;
  json::error_code broken;
  const json::value parsed = json::parse(answer.body, broken);
  const json::object* object = broken ? nullptr : parsed.if_object();
  const json::value* errors = object == nullptr ? nullptr : object->if_contains("errors");
  if (errors == nullptr || !errors->is_object()) return problems;
  for (const auto& field : errors->get_object()) {
    if (!field.value().is_array()) continue;
    for (const json::value& text : field.value().get_array()) {
      if (!text.is_string()) continue;
      problems.push_back({.path = std::string(field.key()), .text = std::string(text.get_string())});
    }
  }
  return problems;
}

class ServerApplier final : public Applier {
 public:
  explicit ServerApplier(ApiClient client) : client_(std::move(client)) {}

  Planned plan(const std::vector<catalog::TenantEntry>& entries, catalog::Prune prune) override {
    body_ = catalog::json_of(entries);
    body_["prune"] = prune == catalog::Prune::kYes;
    const base::Result<http::Answer> answer = client_.post("/api/apply?dry_run=true", body_);
    if (!answer) return refuse(answer.error());
    if (answer->status == 422) {
      std::vector<Problem> problems = problems_in(*answer);
      if (!problems.empty()) return std::unexpected(Refusal{.error = {}, .problems = std::move(problems)});
    }
    base::Result<json::object> object = object_in(client_, *answer);
    if (!object) return refuse(object.error());
    json::value* plan = object->if_contains("data");
    if (plan == nullptr || !plan->is_object()) {
      return refuse(
          {.message = "the server's answer holds no plan", .hint = "It may be of another version."});
    }
    expect(plan->get_object());
    return std::move(plan->get_object());
  }

  base::Status apply() override {
    const base::Result<http::Answer> answer = client_.post("/api/apply", body_);
    if (!answer) return base::fail(answer.error());
    if (answer->status < 200 || answer->status > 299) return base::fail(client_.error_of(*answer));
    return {};
  }

 private:
  // What the plan was made from is what the server shall find.
  void expect(const json::object& plan) {
    json::object revisions;
    const json::value* changes = plan.if_contains("changes");
    if (changes != nullptr && changes->is_array()) {
      for (const json::value& change : changes->get_array()) {
        const json::object* object = change.if_object();
        if (object == nullptr || !object->contains("tenant") || !object->contains("revision")) continue;
        if (!object->at("tenant").is_string()) continue;
        revisions[object->at("tenant").get_string()] = object->at("revision");
      }
    }
    body_["expected"] = std::move(revisions);
  }

  ApiClient client_;
  json::object body_;
};

}  // namespace

base::Result<std::unique_ptr<Applier>> applier_of_catalog(const CatalogOptions& options, const World& world,
                                                          IfMissing if_missing) {
  base::Result<OpenCatalog> opened = open_catalog(options, world, if_missing);
  if (!opened) return base::fail(opened.error());
  return std::make_unique<CatalogApplier>(*std::move(opened), actor_of(world));
}

base::Result<std::unique_ptr<Applier>> applier_of_server(const ApiOptions& options, const World& world) {
  base::Result<ApiClient> client = ApiClient::open(options, world);
  if (!client) return base::fail(client.error());
  return std::make_unique<ServerApplier>(*std::move(client));
}

}  // namespace penstock::cli
