#include "cli/command.h"

#include <fmt/format.h>

#include "catalog/open_store.h"
#include "config/suggest.h"

namespace penstock::cli {

namespace {

std::string words_of(const base::Error& error) {
  std::string text = fmt::format("penstock: {}\n", error.message);
  if (!error.detail.empty()) text += fmt::format("  {}\n", error.detail);
  if (!error.hint.empty()) text += fmt::format("  Hint: {}\n", error.hint);
  return text;
}

// All mistakes of a configuration as one error.
base::Error join(const config::Errors& errors) {
  base::Error all = errors.front();
  if (!all.where.empty()) all.message = all.where + ": " + all.message;
  if (errors.size() > 1) all.hint = fmt::format("{} more; `penstock check` shows all.", errors.size() - 1);
  return all;
}

}  // namespace

void Mistakes::note(base::Error error) {
  if (!error_) {
    error_ = std::move(error);
    return;
  }
  error_->detail += (error_->detail.empty() ? "" : "\n  ") + error.message;
  if (error_->hint.empty()) error_->hint = std::move(error.hint);
}

base::Status Mistakes::status() const {
  if (!error_) return {};
  return base::fail(*error_);
}

int Call::fail(const base::Error& error) const {
  terminal().err(words_of(error));
  return kFailed;
}

int Call::misuse(const base::Error& error) const {
  terminal().err(words_of(error));
  return kMisused;
}

void add_settings_options(CLI::App& app, SettingsOptions& options) {
  app.add_option("--config", options.config_file, "Configuration file in TOML [env: PENSTOCK_CONFIG]")
      ->type_name("FILE");
  app.add_option("--set", options.overrides, "Sets one setting, over file and environment; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

void add_catalog_options(CLI::App& app, CatalogOptions& options) {
  add_settings_options(app, options.settings);
  app.add_option("--catalog", options.catalog_file, "Catalog file; otherwise the setting server.catalog")
      ->type_name("FILE");
}

void add_json_option(CLI::App& app, CatalogOptions& options) {
  app.add_flag("--json", options.json, "Output as JSON, without secrets");
}

config::LoadOptions load_options(const SettingsOptions& options, const World& world) {
  config::LoadOptions load{
      .file = options.config_file, .environment = world.environment, .overrides = options.overrides};
  const auto preset = load.environment.find("PENSTOCK_CONFIG");
  if (preset != load.environment.end()) {
    if (load.file.empty()) load.file = preset->second;
    load.environment.erase(preset);  // it is no setting
  }
  load.environment.erase("PENSTOCK_API_TOKEN");  // nor is this: see ApiClient
  return load;
}

base::Result<config::Settings> settings_of(const CatalogOptions& options, const World& world) {
  std::expected<config::Loaded, config::Errors> loaded = config::load(load_options(options.settings, world));
  if (!loaded) return base::fail(join(loaded.error()));
  if (!options.catalog_file.empty()) loaded->settings.catalog = options.catalog_file;
  return std::move(loaded->settings);
}

base::Result<OpenCatalog> open_catalog(const CatalogOptions& options, const World& world,
                                       IfMissing if_missing) {
  base::Result<config::Settings> settings = settings_of(options, world);
  if (!settings) return base::fail(settings.error());
  OpenCatalog result{.settings = *std::move(settings), .store = nullptr};
  base::Result<std::unique_ptr<catalog::Store>> store = catalog::open_store(
      result.settings, world.environment,
      if_missing == IfMissing::kCreate ? catalog::Opening::kCreate : catalog::Opening::kMustBe);
  if (!store) return base::fail(store.error());
  result.store = *std::move(store);
  return result;
}

catalog::Actor actor_of(const World& world) {
  // Anybody can write anything into the environment: whose name is only in there stands beside the real one.
  const auto sudo = world.environment.find("SUDO_USER");
  const bool is_other =
      sudo != world.environment.end() && !sudo->second.empty() && sudo->second != world.user;
  return {.name = is_other ? fmt::format("{} (sudo {})", sudo->second, world.user) : world.user,
          .origin = "command line"};
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view otherwise) {
  const std::vector<std::string_view> views(candidates.begin(), candidates.end());
  const std::string_view nearest = config::nearest(word, views);
  return nearest.empty() ? std::string(otherwise) : fmt::format("Did you mean \"{}\"?", nearest);
}

}  // namespace penstock::cli
