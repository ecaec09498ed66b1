// penstock catalog …: the catalog as a whole.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace penstock::cli {

void add_catalog_commands(CLI::App& app, Call& call);
// Of those, export and import.
void add_transfer_commands(CLI::App& catalog, Call& call);
// penstock export: the same for `apply`, and of a running server too.
void add_export_command(CLI::App& app, Call& call);

}  // namespace penstock::cli
