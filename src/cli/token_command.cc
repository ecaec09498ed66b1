#include "cli/token_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "auth/token.h"
#include "catalog/duration_text.h"

namespace penstock::cli {

namespace {

struct TokenOptions {
  SettingsOptions settings = {};
  std::vector<std::string> scopes = {};
  std::vector<std::string> tenants = {};
  std::string subject = {};
  std::string id = {};
  std::string expires = "24h";
};

base::Result<std::string> first_secret(const config::Settings& settings) {
  const std::string& path = settings.api_token_secret_file;
  if (path.empty()) {
    return base::fail(base::kConfigFileError, "there is no secret to sign with", "",
                      "Set api.token_secret_file; \"openssl rand -base64 48\" makes a secret.");
  }
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.starts_with('#')) continue;
    if (line.size() >= auth::kTokenSecretBytesMin) return line;
    return base::fail(base::kConfigFileError,
                      fmt::format("the secret in \"{}\" is shorter than 32 characters", path));
  }
  return base::fail(base::kConfigFileError, fmt::format("could not read a secret from \"{}\"", path));
}

int run_token(const TokenOptions& options, const Call& call) {
  const auto loaded = config::load(load_options(options.settings, call.world));
  if (!loaded) return call.fail({.message = config::explain(loaded.error().front())});
  const auto secret = first_secret(loaded->settings);
  if (!secret) return call.fail(secret.error());
  const auto life = catalog::parse_duration(options.expires);
  if (!life) return call.misuse({.message = "--expires: " + life.error().message});
  if (life->count() == 0 && loaded->settings.api_tokens_need_expiry) {
    return call.misuse({.message = "--expires: a token without an end would be refused",
                        .hint = "Set api.tokens_need_expiry to false to allow such tokens."});
  }
  auth::TokenWish wish{.subject = options.subject, .tenants = options.tenants, .id = options.id};
  if (!options.scopes.empty()) wish.scope = fmt::format("{}", fmt::join(options.scopes, " "));
  const auto now = std::chrono::system_clock::now();
  if (life->count() > 0) wish.expires = now + *life;
  call.terminal().out(auth::make_token(*secret, wish, now) + "\n");
  return kDone;
}

}  // namespace

void add_token_command(CLI::App& app, Call& call) {
  auto options = std::make_shared<TokenOptions>();
  CLI::App* command = app.add_subcommand("token", "Signs a token for the HTTP API and prints it");
  add_settings_options(*command, options->settings);
  command
      ->add_option(
          "--scope", options->scopes,
          "What it allows: read, write (includes read), metrics; may be given several times; all three "
          "when not given")
      ->check(CLI::IsMember({"read", "write", "metrics"}));
  command->add_option("--tenant", options->tenants,
                      "The only tenant it is good for; may be given several times; all when not given");
  command->add_option("--subject", options->subject, "Who holds it, for the log");
  command->add_option("--id", options->id, "A name to revoke it by (jti; see api.token_deny_file)");
  command->add_option("--expires", options->expires,
                      "How long it is good: 24h when not given; 0 is without an end");
  command->footer(
      "Whoever has the token has what it allows: keep it as a password.\n"
      "Example:\n"
      "  penstock token --config /etc/penstock/penstock.toml --scope metrics --expires 365d --id prometheus");
  on_call(*command, call, options, run_token);
}

}  // namespace penstock::cli
