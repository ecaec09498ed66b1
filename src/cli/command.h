// What all commands share: where the catalog is, and how to end.
//
// Home: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/store.h"
#include "cli/run.h"
#include "config/load.h"

namespace penstock::cli {

// One call of the program. Commands leave their exit code here.
struct Call {
  const World& world;
  int exit_code = kDone;

  Terminal& terminal() const { return world.terminal; }
  // Writes the error to stderr and gives the exit code for it.
  int fail(const base::Error& error) const;
  int misuse(const base::Error& error) const;
};

// Several mistakes as one error: the first is its message, the others stand below it, one a line.
class Mistakes {
 public:
  void note(base::Status status) {
    if (!status) note(std::move(status.error()));
  }
  void note(base::Error error);
  base::Status status() const;

 private:
  std::optional<base::Error> error_;
};

struct SettingsOptions {
  std::string config_file = {};
  std::vector<std::string> overrides = {};
};

struct CatalogOptions {
  SettingsOptions settings = {};
  std::string catalog_file = {};  // wins over the setting server.catalog
  bool json = false;
};

// --config and --set
void add_settings_options(CLI::App& app, SettingsOptions& options);
// --config, --set, --catalog
void add_catalog_options(CLI::App& app, CatalogOptions& options);
void add_json_option(CLI::App& app, CatalogOptions& options);

config::LoadOptions load_options(const SettingsOptions& options, const World& world);

struct OpenCatalog {
  config::Settings settings;
  std::unique_ptr<catalog::Store> store;
};
// What is in effect for a command that does not open the catalog itself.
base::Result<config::Settings> settings_of(const CatalogOptions& options, const World& world);
enum class IfMissing { kFail, kCreate };
base::Result<OpenCatalog> open_catalog(const CatalogOptions& options, const World& world,
                                       IfMissing if_missing);

// Who runs this command, for the audit log.
catalog::Actor actor_of(const World& world);

// Parses nothing itself: calls `run` when the command line has been understood, and keeps its exit code.
template <class Options>
void on_call(CLI::App& app, Call& call, std::shared_ptr<Options> options,
             int (*run)(const Options&, const Call&)) {
  app.callback([&call, options = std::move(options), run] { call.exit_code = run(*options, call); });
}

// "did you mean "acme"?" or, if nothing is like it, `otherwise`.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view otherwise);

}  // namespace penstock::cli
