// Api: everything on the HTTP port: health, metrics, REST, OpenAPI, the web page.
//
// Owner:      the composition root; outlives the http::Server that asks it.
// Home:       the control thread.
#pragma once

#include <memory>

#include "admin/engine.h"
#include "admin/router.h"

namespace penstock::admin {

class Api {
 public:
  // Reads the files that the settings name; on a reload, again.
  static base::Result<std::shared_ptr<const auth::TokenRules>> load_rules(const config::Settings& settings);

  Api(Engine& engine, std::shared_ptr<const auth::TokenRules> rules);
  void set_rules(std::shared_ptr<const auth::TokenRules> rules) { rules_ = std::move(rules); }
  void handle(http::Request request, http::Respond respond) {
    router_.handle(std::move(request), std::move(respond));
  }

 private:
  Engine& engine_;
  std::shared_ptr<const auth::TokenRules> rules_;
  Router router_;
};

// The parts of the table of routes.
Routes process_routes(Engine& engine);
Routes tenant_routes(Engine& engine);
Routes apply_routes(Engine& engine);
Routes user_routes(Engine& engine);
Routes live_routes(Engine& engine);
Routes cluster_routes(Engine& engine);
Routes pool_routes(Engine& engine);
Routes ban_routes(Engine& engine);
Routes web_routes();

// All routes; for the manual and the tests as well.
Routes all_routes(Engine& engine);

// The text of /metrics, for all tenants or one, from what `engine` says at the moment.
void write_metrics(Engine& engine, std::string tenant, std::string_view accept, http::Respond respond);

}  // namespace penstock::admin
