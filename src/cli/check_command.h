// penstock check: what is wrong with configuration and catalog, before a server finds out.
#pragma once

#include "cli/command.h"

namespace penstock::cli {

void add_check_command(CLI::App& app, Call& call);

}  // namespace penstock::cli
