#include "cli/check_command.h"

#include <fmt/format.h>
#include <sys/stat.h>  // HOUSE(syscall): a command looks at files itself
#include <unistd.h>    // HOUSE(syscall): a command looks at files itself

#include <filesystem>

#include "catalog/open_store.h"
#include "catalog/postgres.h"
#include "catalog/validate.h"
#include "config/render.h"
#include "server/serve.h"

namespace penstock::cli {

namespace {

struct CheckOptions {
  CatalogOptions catalog = {};
  bool print = false;
};

struct Findings {
  int errors = 0;
  int warnings = 0;
};

std::string plural(int count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// Only the user who runs the check can be asked, so this is no error.
void check_readable(const model::TenantSpec& tenant, std::string_view field, const std::string& path,
                    std::vector<catalog::Problem>& problems) {
  if (path.empty() || ::access(path.c_str(), R_OK) == 0) return;
  problems.push_back({.path = fmt::format("tenants.{}.{}", tenant.id, field),
                      .text = fmt::format("\"{}\" cannot be read by this user", path),
                      .weight = catalog::Problem::Weight::kWarning});
}

void check_mode(const std::string& file, std::string what, std::vector<catalog::Problem>& problems) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0 || (found.st_mode & 0077) == 0) return;
  problems.push_back({.path = std::move(what),
                      .text = fmt::format("others may read it ({:04o}), but it holds secrets: chmod 600 {}",
                                          found.st_mode & 07777, file),
                      .weight = catalog::Problem::Weight::kWarning});
}

// As Postgres has it: a key that belongs to root may be readable for the group of those who use it.
void check_private_key(const std::string& file, std::string what, std::vector<catalog::Problem>& problems) {
  struct stat found{};
  if (file.empty() || ::stat(file.c_str(), &found) != 0) return;
  const bool is_shared = found.st_uid == 0;
  if ((found.st_mode & (is_shared ? 0037 : 0077)) == 0) return;
  problems.push_back({.path = std::move(what),
                      .text = fmt::format("others may read this key ({:04o}): chmod {} {}",
                                          found.st_mode & 07777, is_shared ? 640 : 600, file),
                      .weight = catalog::Problem::Weight::kWarning});
}

// What is wrong with how secrets are kept.
base::Status check_seals(catalog::Store& store, const catalog::KeySource& keys,
                         std::vector<catalog::Problem>& problems) {
  if (!keys.file.empty()) check_mode(keys.file, "catalog_key_file", problems);
  const base::Result<catalog::SealReport> report = store.seals();
  if (!report) return base::fail(report.error());
  std::string complaint = catalog::complaint_about(*report, keys);
  if (!complaint.empty()) {
    problems.push_back(
        {.path = "secrets", .text = std::move(complaint), .weight = catalog::Problem::Weight::kWarning});
  }
  return {};
}

base::Result<std::vector<catalog::Problem>> catalog_problems(catalog::Store& store, const std::string& file,
                                                             const catalog::KeySource& keys) {
  const base::Result<model::SnapshotPtr> snapshot = store.load();
  if (!snapshot) return base::fail(snapshot.error());
  std::vector<catalog::Problem> problems = catalog::problems_of(**snapshot);
  for (const model::TenantPtr& tenant : (*snapshot)->tenants()) {
    check_readable(*tenant, "upstream_tls_ca_file", tenant->upstream_tls_ca_file, problems);
    check_readable(*tenant, "upstream_tls_cert_file", tenant->upstream_tls_cert_file, problems);
    check_readable(*tenant, "upstream_tls_key_file", tenant->upstream_tls_key_file, problems);
    check_private_key(tenant->upstream_tls_key_file,
                      fmt::format("tenants.{}.upstream_tls_key_file", tenant->id), problems);
  }
  if (!catalog::is_postgres_url(file)) check_mode(file, "mode", problems);
  if (const base::Status status = check_seals(store, keys, problems); !status)
    return base::fail(status.error());
  return problems;
}

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

// What the process needs besides its catalog.
void check_files(const config::Settings& settings, Terminal& terminal, Findings& findings) {
  if (const base::Status status = server::check_client_tls(settings); !status) {
    ++findings.errors;
    terminal.out(config::explain(status.error()) + "\n");
  }
  for (const config::ListenerSettings& listener : settings.listeners) {
    std::error_code ignored;
    if (!listener.address.starts_with('/') || std::filesystem::is_directory(listener.address, ignored))
      continue;
    ++findings.errors;
    terminal.out(fmt::format("listeners: there is no directory \"{}\" for the Unix socket of port {}\n",
                             listener.address, listener.port));
  }
  std::vector<catalog::Problem> warnings;
  check_private_key(settings.client_tls_key_file, "client_tls.key_file", warnings);
  check_private_key(settings.api_tls_key_file, "api.tls_key_file", warnings);
  if (!settings.api_token_secret_file.empty()) {
    check_mode(settings.api_token_secret_file, "api.token_secret_file", warnings);
  }
  if (settings.api_port != 0 && settings.api_tls_cert_file.empty() && !is_loopback(settings.api_address)) {
    warnings.push_back(
        {.path = "api.address",
         .text = fmt::format("tokens and passwords cross the network as they are on \"{}\": set "
                             "api.tls_cert_file and api.tls_key_file",
                             settings.api_address)});
  }
  for (const catalog::Problem& warning : warnings) {
    ++findings.warnings;
    terminal.out(fmt::format("warning: {}\n", warning.to_string()));
  }
}

void check_catalog(const config::Settings& settings, const Call& call, Findings& findings) {
  Terminal& terminal = call.terminal();
  std::error_code ignored;
  const bool is_file = !catalog::is_postgres_url(settings.catalog);
  if (is_file && !std::filesystem::exists(settings.catalog, ignored)) {
    const auto directory = std::filesystem::absolute(settings.catalog, ignored).parent_path();
    if (!std::filesystem::is_directory(directory, ignored)) {
      ++findings.errors;
      terminal.out(fmt::format("server.catalog: \"{}\" cannot be created: there is no directory \"{}\"\n",
                               settings.catalog, directory.string()));
      return;
    }
    terminal.out(fmt::format("note: catalog file \"{}\" does not exist yet; `penstock serve` creates it\n",
                             settings.catalog));
    return;
  }
  base::Result<std::unique_ptr<catalog::Store>> store =
      catalog::open_store(settings, call.world.environment, catalog::Opening::kMustBe);
  const base::Result<std::vector<catalog::Problem>> problems =
      store
          ? catalog_problems(**store, settings.catalog, catalog::key_source(settings, call.world.environment))
          : base::fail(store.error());
  // A server makes them when it starts.
  if (!store && store.error().sqlstate == base::kObjectNotInPrerequisiteState && settings.catalog_migrate) {
    return terminal.out(
        fmt::format("note: {}; `penstock serve` brings them up to date\n", store.error().message));
  }
  if (!problems) {
    ++findings.errors;
    terminal.out(config::explain(problems.error()) + "\n");
    return;
  }
  for (const catalog::Problem& problem : *problems) {
    const bool is_warning = problem.weight == catalog::Problem::Weight::kWarning;
    ++(is_warning ? findings.warnings : findings.errors);
    terminal.out(fmt::format("{}: {}{}\n", config::without_password(settings.catalog),
                             is_warning ? "warning: " : "", problem.to_string()));
  }
}

int run_check(const CheckOptions& options, const Call& call) {
  Findings findings;
  Terminal& terminal = call.terminal();
  std::expected<config::Loaded, config::Errors> loaded =
      config::load(load_options(options.catalog.settings, call.world));
  if (!loaded) {
    for (const base::Error& error : loaded.error()) terminal.out(config::explain(error) + "\n");
    findings.errors = static_cast<int>(loaded.error().size());
  } else {
    for (const std::string& warning : loaded->warnings) terminal.out(fmt::format("warning: {}\n", warning));
    findings.warnings = static_cast<int>(loaded->warnings.size());
    if (!options.catalog.catalog_file.empty()) loaded->settings.catalog = options.catalog.catalog_file;
    check_files(loaded->settings, terminal, findings);
    check_catalog(loaded->settings, call, findings);
    if (options.print) terminal.out(config::render_effective(*loaded));
  }
  if (findings.errors > 0) {
    terminal.err(fmt::format("penstock: {}, {}\n", plural(findings.errors, "error"),
                             plural(findings.warnings, "warning")));
    return kFailed;
  }
  if (!options.print) terminal.out(fmt::format("ok, {}\n", plural(findings.warnings, "warning")));
  return kDone;
}

}  // namespace

void add_check_command(CLI::App& app, Call& call) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command =
      app.add_subcommand("check", "Checks configuration and catalog, and says what is wrong where");
  add_catalog_options(*command, options->catalog);
  command->add_flag("--print", options->print, "Prints the settings in effect and where each comes from");
  command->footer("Exit code: 0 when a server would start with this, 1 when not. Warnings do not count.");
  on_call(*command, call, options, run_check);
}

}  // namespace penstock::cli
