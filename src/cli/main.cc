// penstock: the program. What it can do, the commands know; see run.h.
#include <string>
#include <vector>

#include "cli/run.h"
#include "cli/terminal.h"

extern char** environ;

int main(int argc, char** argv) {
  penstock::cli::PosixTerminal terminal;
  return penstock::cli::run(std::vector<std::string>(argv + 1, argv + argc),
                            {.terminal = terminal,
                             .environment = penstock::config::to_environment(environ),
                             .serve = penstock::cli::linked_server(),
                             .user = penstock::cli::name_of_user()});
}
