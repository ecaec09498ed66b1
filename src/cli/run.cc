#include "cli/run.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sqlite3.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "base/version.h"
#include "cli/apply_commands.h"
#include "cli/catalog_commands.h"
#include "cli/check_command.h"
#include "cli/command.h"
#include "cli/help_format.h"
#include "cli/serve_command.h"
#include "cli/tenant_commands.h"
#include "cli/token_command.h"
#include "cli/top_command.h"
#include "cli/user_commands.h"

namespace penstock::cli {

namespace {

void add_version_command(CLI::App& app, Call& call) {
  CLI::App* command = app.add_subcommand("version", "Prints the versions of Penstock and of its libraries");
  command->callback([&call] {
    call.terminal().out(fmt::format("penstock {}\n{}\nSQLite {}\n", base::kVersion,
                                    OpenSSL_version(OPENSSL_VERSION), sqlite3_libversion()));
  });
}

// Whether the last command that was understood has commands of its own.
bool wants_command(const CLI::App& app) {
  const CLI::App* deepest = &app;
  while (!deepest->get_subcommands().empty()) deepest = deepest->get_subcommands().front();
  return deepest->get_require_subcommand_min() > 0;
}

// CLI11 wants the last word first, and throws what it does not understand.
int parse(CLI::App& app, std::vector<std::string> words, const Call& call) {
  std::ranges::reverse(words);
  try {
    app.parse(std::move(words));
  } catch (const CLI::Success& wanted) {  // --help, --version
    std::ostringstream out;
    (void)app.exit(wanted, out, out);
    call.terminal().out(out.str());
    return kDone;
  } catch (const CLI::ParseError& error) {
    // CLI11 misses a command before it looks at what stands in its place.
    const std::vector<std::string> unknown = app.remaining(true);
    const bool is_command = wants_command(app) && !unknown.empty() && !unknown[0].starts_with('-');
    const std::string problem =
        is_command ? fmt::format("there is no command \"{}\"", unknown[0]) : error.what();
    call.terminal().err(
        fmt::format("penstock: {}\n  Hint: --help behind a command says what it takes.\n", problem));
    // There, 2 says that there are changes.
    return app.got_subcommand("plan") ? kFailed : kMisused;
  }
  return call.exit_code;
}

}  // namespace

int run(std::vector<std::string> words, const World& world) {
  Call call{.world = world};
  CLI::App app("Penstock, a connection pooler for Postgres", "penstock");
  app.formatter(std::make_shared<HelpFormat>());
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("penstock {}", base::kVersion));
  add_serve_command(app, call);
  add_check_command(app, call);
  add_tenant_commands(app, call);
  add_user_commands(app, call);
  add_apply_commands(app, call);
  add_export_command(app, call);
  add_catalog_commands(app, call);
  add_token_command(app, call);
  add_top_command(app, call);
  add_version_command(app, call);
  // Last, because subcommands take it over.
  app.footer(
      "To begin:\n"
      "  penstock tenant add default --host 127.0.0.1 --port 5432\n"
      "  penstock user add app\n"
      "  penstock serve\n"
      "  psql -h 127.0.0.1 -p 6432 -U app mydatabase\n"
      "Exit codes: 0 done, 1 could not be done, 2 the command was not understood.");
  const int exit_code = parse(app, std::move(words), call);
  // Who keeps what a command writes must hear that it is not all there.
  if (const base::Status finished = call.terminal().finish(); !finished) return call.fail(finished.error());
  return exit_code;
}

}  // namespace penstock::cli
