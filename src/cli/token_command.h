// penstock token: signs a token for the API with the first secret of api.token_secret_file.
#pragma once

#include "cli/command.h"

namespace penstock::cli {

void add_token_command(CLI::App& app, Call& call);

}  // namespace penstock::cli
