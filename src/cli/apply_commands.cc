#include "cli/apply_commands.h"

#include <fmt/format.h>

#include "cli/applier.h"
#include "cli/document_files.h"
#include "cli/plan_words.h"

namespace penstock::cli {

namespace {

namespace json = boost::json;

// Of `plan`, as of terraform's -detailed-exitcode.
constexpr int kHasChanges = 2;
// Of `apply`: it is not known whether it was done.
constexpr int kMayBeDone = 3;

struct ApplyOptions {
  CatalogOptions catalog = {};
  ApiOptions api = {};
  std::vector<std::string> files = {};
  bool prune = false;
  bool yes = false;
  bool dry_run = false;
};

int refuse(const std::vector<std::string>& mistakes, const Call& call) {
  for (const std::string& mistake : mistakes) call.terminal().err(fmt::format("penstock: {}\n", mistake));
  call.terminal().err(fmt::format("penstock: {} mistake{}; nothing was changed\n", mistakes.size(),
                                  mistakes.size() == 1 ? "" : "s"));
  return kFailed;
}

// A file that was emptied by accident must not empty the catalog.
base::Status check_prune(const ApplyOptions& options, const DocumentFiles& files) {
  if (!options.prune || !files.entries().empty()) return {};
  return base::fail(base::kInvalidParameterValue,
                    "the files name no tenant: --prune would remove every tenant", {},
                    "`penstock tenant remove` removes them one by one.");
}

struct Prepared {
  std::unique_ptr<Applier> applier;
  json::object plan;
  bool is_empty() const { return !plan.contains("changes") || plan.at("changes").as_array().empty(); }
};

// Reads the files and makes the plan; the exit code when that cannot be done.
std::expected<Prepared, int> prepare(const ApplyOptions& options, const Call& call, IfMissing if_missing) {
  DocumentFiles files(options.files, call.world.environment);
  if (const auto mistakes = files.mistakes(); !mistakes.empty())
    return std::unexpected(refuse(mistakes, call));
  if (const base::Status status = check_prune(options, files); !status) {
    return std::unexpected(call.fail(status.error()));
  }
  base::Result<std::unique_ptr<Applier>> applier =
      options.api.url.empty() ? applier_of_catalog(options.catalog, call.world, if_missing)
                              : applier_of_server(options.api, call.world);
  if (!applier) return std::unexpected(call.fail(applier.error()));
  auto plan = (*applier)->plan(files.entries(), options.prune ? catalog::Prune::kYes : catalog::Prune::kNo);
  if (plan) return Prepared{.applier = *std::move(applier), .plan = *std::move(plan)};
  if (plan.error().problems.empty()) return std::unexpected(call.fail(plan.error().error));
  files.add(plan.error().problems);
  return std::unexpected(refuse(files.mistakes(), call));
}

void show(const ApplyOptions& options, const Prepared& prepared, const Call& call) {
  if (options.catalog.json) return call.terminal().out(json::serialize(prepared.plan) + "\n");
  call.terminal().out(words_of_plan(prepared.plan));
  call.terminal().out(prepared.is_empty() ? "Nothing to do: the catalog is as the files say.\n"
                                          : fmt::format("Plan: {}.\n", count_of_plan(prepared.plan)));
}

int run_plan(const ApplyOptions& options, const Call& call) {
  const auto prepared = prepare(options, call, IfMissing::kFail);
  if (!prepared) return prepared.error();
  show(options, *prepared, call);
  return prepared->is_empty() ? kDone : kHasChanges;
}

// Whether a person who can be asked wants it.
bool is_wanted(const ApplyOptions& options, const Call& call) {
  if (options.yes || !call.terminal().is_interactive()) return true;
  call.terminal().err("Apply these changes? Only \"yes\" is taken: ");
  const base::Result<std::string> answer = call.terminal().read_line();
  return answer && *answer == "yes";
}

int explain(base::Error error, const Call& call) {
  const bool may_be_done = error.sqlstate == base::kTransactionResolutionUnknown;
  if (!error.detail.empty()) error.detail += ' ';
  error.detail +=
      may_be_done ? "The changes may have been made, all of them or none." : "Nothing was changed.";
  if (may_be_done) error.hint = "`penstock plan` with the same files tells which.";
  if (error.sqlstate == base::kSerializationFailure) error.hint = "Run the command again.";
  const int nothing_done = call.fail(error);
  return may_be_done ? kMayBeDone : nothing_done;
}

int run_apply(const ApplyOptions& options, const Call& call) {
  const auto prepared = prepare(options, call, options.dry_run ? IfMissing::kFail : IfMissing::kCreate);
  if (!prepared) return prepared.error();
  show(options, *prepared, call);
  if (prepared->is_empty() || options.dry_run) return kDone;
  if (!is_wanted(options, call)) {
    call.terminal().err("penstock: nothing was changed\n");
    return kFailed;
  }
  if (const base::Status status = prepared->applier->apply(); !status) return explain(status.error(), call);
  if (!options.catalog.json) call.terminal().out("Applied.\n");
  return kDone;
}

CLI::App* add_command(CLI::App& app, const char* name, const char* what,
                      const std::shared_ptr<ApplyOptions>& options) {
  CLI::App* command = app.add_subcommand(name, what);
  command
      ->add_option(
          "-f,--file", options->files,
          "A YAML or JSON file, a directory of such files, or - for the standard input; may be repeated")
      ->type_name("PATH")
      ->required()
      ->allow_extra_args(false);
  command->add_flag("--prune", options->prune,
                    "Removes tenants, and users of the tenants named, that the files do not name");
  command->add_flag("--json", options->catalog.json, "The plan as JSON, without secrets");
  add_catalog_options(*command, options->catalog);
  add_api_options(*command, options->api);
  return command;
}

}  // namespace

void add_apply_commands(CLI::App& app, Call& call) {
  auto options = std::make_shared<ApplyOptions>();
  CLI::App* command = add_command(app, "plan", "Shows what `apply` would change, field by field", options);
  command->footer(
      "Exit codes: 0 there is nothing to do, 2 there are changes, 1 there is no plan: a mistake in the "
      "files, on "
      "the\n"
      "command line, or a catalog that cannot be read.\n"
      "Examples:\n"
      "  penstock plan -f tenants.yaml\n"
      "  penstock plan -f tenants/ --prune --json");
  on_call(*command, call, options, run_plan);

  options = std::make_shared<ApplyOptions>();
  command = add_command(app, "apply", "Makes tenants and users what files say, all or nothing", options);
  command->add_flag("--yes", options->yes, "Does not ask; without a terminal it never does");
  command->add_flag("--dry-run", options->dry_run, "Shows what would change, and changes nothing");
  command->footer(
      "Of a tenant that a file names, a field that it leaves out gets its default. Secrets, bans and users "
      "that "
      "are left\n"
      "out stay as they are; nothing is removed without --prune. ${NAME} in a value is a variable of the "
      "environment;\n"
      "{file: PATH} as a secret is the first line of that file.\n"
      "Exit codes: 0 done, or there was nothing to do, 1 nothing was changed, 2 the command was not "
      "understood, 3 "
      "it may\n"
      "have been done: the connection ended before the answer came.\n"
      "Examples:\n"
      "  penstock apply -f tenants.yaml\n"
      "  penstock apply -f tenants/ --prune --yes\n"
      "  penstock apply -f tenants.yaml --api https://pooler.example.com:6433 --token-file "
      "/run/secrets/token");
  on_call(*command, call, options, run_apply);
}

}  // namespace penstock::cli
