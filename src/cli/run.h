// run() is the whole command line as a function: words in, exit code out.
//
// Exit codes: 0 done; 1 it could not be done (the reason is on stderr); 2 the command was not understood.
//
// Home: the main thread.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "config/load.h"

namespace penstock::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kMisused = 2;

// Runs the server until it is told to stop; gives the exit code. The options are kept for reloads.
using ServeFunction = int (*)(const config::LoadOptions& options);

// The server that was linked into this program; null in builds without one.
ServeFunction linked_server();

struct World {
  Terminal& terminal;
  config::Environment environment = {};
  ServeFunction serve = nullptr;
  std::string user = "unknown";  // who runs the program; see name_of_user()
};

// `words`: without the program's name.
int run(std::vector<std::string> words, const World& world);

}  // namespace penstock::cli
