// penstock tenant add | list | show | set | remove
#pragma once

#include "cli/command.h"

namespace penstock::cli {

void add_tenant_commands(CLI::App& app, Call& call);

}  // namespace penstock::cli
