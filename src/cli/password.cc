#include "cli/password.h"

#include <fmt/format.h>

#include <array>

#include "auth/secret.h"
#include "base/random.h"
#include "cli/files.h"

namespace penstock::cli {

namespace {

base::Result<std::string> refuse_empty(base::Result<std::string> password) {
  if (password && password->empty()) {
    return base::fail(base::kInvalidParameterValue, "the password is empty", {},
                      "--no-password adds a user without one.");
  }
  return password;
}

base::Result<std::string> ask_twice(Terminal& terminal) {
  if (!terminal.is_interactive()) {
    return base::fail(base::kInvalidParameterValue,
                      "no password was given, and there is no terminal to ask on", {},
                      "Use --password-stdin, --password-file FILE, --secret or --no-password.");
  }
  base::Result<std::string> first = terminal.ask_secret("Password: ");
  if (!first) return first;
  const base::Result<std::string> second = terminal.ask_secret("Again: ");
  if (!second) return second;
  if (*first != *second) return base::fail(base::kInvalidParameterValue, "the two passwords differ");
  return first;
}

}  // namespace

void add_password_options(CLI::App& app, PasswordOptions& options) {
  app.add_flag("--password-stdin", options.from_stdin,
               "Reads the password from the first line of the standard input")
      ->group("Password");
  app.add_option("--password-file", options.file, "Reads the password from the first line of a file")
      ->type_name("FILE")
      ->group("Password");
  app.add_option("--password", options.password, "The password itself; others can see it in the process list")
      ->type_name("TEXT")
      ->group("Password");
  app.add_flag("--no-password", options.none,
               "No secret: the tenant's auth_query, a certificate or trust decides")
      ->group("Password");
  app.add_flag("--verifier-only", options.verifier_only,
               "Stores a SCRAM-SHA-256 verifier instead of the password. The server must then have the same "
               "verifier, or upstream_secret must be set")
      ->group("Password");
}

base::Status check_password_options(const PasswordOptions& options) {
  const int sources = (options.from_stdin ? 1 : 0) + (options.file.empty() ? 0 : 1) +
                      (options.password.empty() ? 0 : 1) + (options.none ? 1 : 0);
  if (sources > 1) {
    return base::fail(
        base::kInvalidParameterValue,
        "only one of --password-stdin, --password-file, --password and --no-password can be used");
  }
  if (options.none && options.verifier_only) {
    return base::fail(base::kInvalidParameterValue, "--verifier-only needs a password");
  }
  return {};
}

base::Result<std::optional<std::string>> read_password(const PasswordOptions& options, Terminal& terminal) {
  if (options.none) return std::nullopt;
  base::Result<std::string> password = options.from_stdin      ? terminal.read_line()
                                       : !options.file.empty() ? first_line_of(options.file)
                                       : !options.password.empty()
                                           ? base::Result<std::string>(options.password)
                                           : ask_twice(terminal);
  password = refuse_empty(std::move(password));
  if (!password) return base::fail(password.error());
  if (!options.password.empty()) {
    terminal.err(
        "penstock: warning: a password on the command line can be seen in the process list; better use "
        "--password-stdin or --password-file\n");
  }
  return *std::move(password);
}

void add_upstream_secret_options(CLI::App& app, UpstreamSecretOptions& options) {
  app.add_option("--upstream-secret-file", options.file,
                 "Reads upstream_secret from the first line of a file")
      ->type_name("FILE")
      ->group("Password");
  app.add_flag("--upstream-secret-stdin", options.from_stdin,
               "Reads upstream_secret from the first line of the standard input")
      ->group("Password");
}

base::Result<std::string> read_upstream_secret(const UpstreamSecretOptions& options, Terminal& terminal) {
  base::Result<std::string> secret = options.from_stdin ? terminal.read_line() : first_line_of(options.file);
  if (!secret || !secret->empty()) return secret;
  return base::fail(base::kInvalidParameterValue, "upstream_secret is empty", {},
                    "--unset upstream_secret takes it away.");
}

base::Result<std::string> verifier_of(const std::string& password, int iterations,
                                      const std::string& beside) {
  if (!is_plain_password(password)) {
    return base::fail(base::kInvalidParameterValue,
                      "--verifier-only needs a password, not a hash or verifier");
  }
  if (const auto other = auth::ScramVerifier::parse(beside)) {
    return auth::make_verifier(password, other->salt, other->iterations).to_string();
  }
  std::array<std::uint8_t, 16> salt{};
  base::SystemRandom().fill(salt);
  const std::string_view bytes(reinterpret_cast<const char*>(salt.data()), salt.size());
  return auth::make_verifier(password, bytes, iterations).to_string();
}

bool is_plain_password(const std::string& secret) {
  return auth::Secret::parse(secret).kind() == auth::Secret::Kind::kPlain;
}

}  // namespace penstock::cli
