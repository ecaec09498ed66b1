// penstock serve: the server, in the foreground.
#pragma once

#include "cli/command.h"

namespace penstock::cli {

void add_serve_command(CLI::App& app, Call& call);

}  // namespace penstock::cli
