// penstock top: what goes on in a running server.
#pragma once

#include "cli/command.h"

namespace penstock::cli {

void add_top_command(CLI::App& app, Call& call);

}  // namespace penstock::cli
