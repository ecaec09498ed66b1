// Applier: where a plan is made and comes true: the catalog itself, or a running server.
//
// Owner: a command. Home: the main thread.
#pragma once

#include <boost/json.hpp>
#include <expected>
#include <memory>
#include <vector>

#include "catalog/plan.h"
#include "cli/api_client.h"

namespace penstock::cli {

// Why there is no plan: an error, or problems of the tenants as they would be.
struct Refusal {
  base::Error error = {};
  std::vector<catalog::Problem> problems = {};
};

class Applier {
 public:
  virtual ~Applier() = default;
  // See json_of(catalog::Plan).
  virtual std::expected<boost::json::object, Refusal> plan(const std::vector<catalog::TenantEntry>& entries,
                                                           catalog::Prune prune) = 0;
  // The plan made last comes true, or nothing does.
  // Errors: kSerializationFailure when the catalog has changed since; kTransactionResolutionUnknown when the plan may have come true
  //         (the connection to the server, or of it to its catalog, ended too early to tell). After all others nothing has.
  virtual base::Status apply() = 0;
};

base::Result<std::unique_ptr<Applier>> applier_of_catalog(const CatalogOptions& options, const World& world,
                                                          IfMissing if_missing);
base::Result<std::unique_ptr<Applier>> applier_of_server(const ApiOptions& options, const World& world);

}  // namespace penstock::cli
