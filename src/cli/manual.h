// docs/manual/commands.md: every command's --help, as it is.
#pragma once

#include <string>

namespace penstock::cli {

// The whole page.
std::string commands_for_manual();

}  // namespace penstock::cli
