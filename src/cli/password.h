// Where a new user's secret comes from: standard input, a file, the command line, or a question without echo.
//
// Home:       the main thread.
// Invariants: a secret that everybody on the machine can see in the process list is warned of.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/run.h"

namespace penstock::cli {

struct PasswordOptions {
  std::string password = {};
  std::string file = {};
  bool from_stdin = false;
  bool none = false;
  bool verifier_only = false;

  bool is_given() const { return !password.empty() || !file.empty() || from_stdin || none; }
};

void add_password_options(CLI::App& app, PasswordOptions& options);

// Errors: kInvalidParameterValue when two of them contradict each other.
base::Status check_password_options(const PasswordOptions& options);

// Nothing: --no-password.
// Errors: kInvalidParameterValue (empty, or the two answers differ), kIoError (file, terminal).
base::Result<std::optional<std::string>> read_password(const PasswordOptions& options, Terminal& terminal);

// Where upstream_secret comes from, if not from the command line, where others can see it.
struct UpstreamSecretOptions {
  std::string file = {};
  bool from_stdin = false;

  bool is_given() const { return !file.empty() || from_stdin; }
};
void add_upstream_secret_options(CLI::App& app, UpstreamSecretOptions& options);
// Only if it is given.
base::Result<std::string> read_upstream_secret(const UpstreamSecretOptions& options, Terminal& terminal);

// The verifier of a password, for a catalog that must not hold passwords. Anything that is no plain password
// is an error: there is nothing to derive from it. `beside`: a secret that stays valid for a while; if it is a verifier,
// the new one gets its salt and iterations, so that one exchange can check both.
base::Result<std::string> verifier_of(const std::string& password, int iterations,
                                      const std::string& beside = {});

// Whether a stored secret is a password as it is typed.
bool is_plain_password(const std::string& secret);

}  // namespace penstock::cli
