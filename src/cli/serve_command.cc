#include "cli/serve_command.h"

// The server is the largest module; the commands build and are tested without it.
#if __has_include("server/serve.h")
#include "server/serve.h"
#define PENSTOCK_SERVER_LINKED 1
#else
#define PENSTOCK_SERVER_LINKED 0
#endif

namespace penstock::cli {

namespace {

struct ServeOptions {
  CatalogOptions catalog = {};
};

int run_serve(const ServeOptions& options, const Call& call) {
  if (call.world.serve == nullptr) return call.fail({.message = "this program was built without the server"});
  config::LoadOptions load = load_options(options.catalog.settings, call.world);
  if (!options.catalog.catalog_file.empty())
    load.overrides.push_back("server.catalog=" + options.catalog.catalog_file);
  return call.world.serve(load);
}

}  // namespace

ServeFunction linked_server() {
#if PENSTOCK_SERVER_LINKED
  return &server::serve;
#else
  return nullptr;
#endif
}

void add_serve_command(CLI::App& app, Call& call) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Runs the server in the foreground");
  add_catalog_options(*command, options->catalog);
  command->footer(
      "Signals: SIGHUP reads configuration and certificates again without dropping a connection; SIGTERM "
      "lets clients\n"
      "finish their transactions and ends; SIGINT and SIGQUIT end at once, and what runs is cancelled.\n"
      "Examples:\n"
      "  penstock serve\n"
      "  penstock serve --config /etc/penstock/penstock.toml --set pool.size=50 --set log.level=debug");
  on_call(*command, call, options, run_serve);
}

}  // namespace penstock::cli
