// penstock plan, apply: tenants as code. See docs/manual/tenants-as-code.md.
#pragma once

#include "cli/command.h"

namespace penstock::cli {

void add_apply_commands(CLI::App& app, Call& call);

}  // namespace penstock::cli
