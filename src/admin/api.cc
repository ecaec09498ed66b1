#include "admin/api.h"

#include <fstream>
#include <sstream>

namespace penstock::admin {

namespace {

constexpr std::size_t kFileBytesMax = 1024 * 1024;

base::Result<std::string> read_file(const std::string& path, std::string_view what) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (file) text << file.rdbuf();
  if (!file || text.view().size() > kFileBytesMax) {
    return base::fail(base::kConfigFileError, "could not read the " + std::string(what) + " \"" + path + "\"",
                      "", "It must be readable by the user that Penstock runs as.");
  }
  return std::move(text).str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.pop_back();
    if (!line.empty() && !line.starts_with('#')) lines.push_back(line);
  }
  return lines;
}

base::Result<std::vector<std::string>> read_secrets(const std::string& path) {
  if (path.empty()) return std::vector<std::string>();
  auto text = read_file(path, "token secrets");
  if (!text) return std::unexpected(std::move(text.error()));
  auto secrets = lines_of(*text);
  for (const std::string& secret : secrets) {
    if (secret.size() >= auth::kTokenSecretBytesMin) continue;
    return base::fail(base::kConfigFileError, "a secret in \"" + path + "\" is shorter than 32 characters",
                      "", "\"openssl rand -base64 48\" makes a good one.");
  }
  if (!secrets.empty()) return secrets;
  return base::fail(base::kConfigFileError, "there is no secret in \"" + path + "\"", "",
                    "\"openssl rand -base64 48\" makes one.");
}

base::Status read_keys(const config::Settings& settings, auth::TokenRules& rules) {
  auto secrets = read_secrets(settings.api_token_secret_file);
  if (!secrets) return std::unexpected(std::move(secrets.error()));
  rules.secrets = std::move(*secrets);
  auto metrics = read_secrets(settings.api_metrics_token_secret_file);
  if (!metrics) return std::unexpected(std::move(metrics.error()));
  rules.metrics_secrets = std::move(*metrics);
  if (settings.api_token_public_key_file.empty()) return {};
  auto pem = read_file(settings.api_token_public_key_file, "public keys for tokens");
  if (!pem) return std::unexpected(std::move(pem.error()));
  auto keys = auth::parse_public_keys(*pem);
  if (!keys) return std::unexpected(std::move(keys.error()));
  rules.public_keys = std::move(*keys);
  return {};
}

}  // namespace

base::Result<std::shared_ptr<const auth::TokenRules>> Api::load_rules(const config::Settings& settings) {
  auto rules = std::make_shared<auth::TokenRules>();
  rules->needs_expiry = settings.api_tokens_need_expiry;
  for (const std::string& claim : settings.api_token_claims) {
    const std::size_t equals = claim.find('=');
    rules->claims.emplace_back(claim.substr(0, equals), claim.substr(equals + 1));
  }
  if (auto read = read_keys(settings, *rules); !read) return std::unexpected(std::move(read.error()));
  if (!settings.api_token_deny_file.empty()) {
    auto text = read_file(settings.api_token_deny_file, "denied tokens");
    if (!text) return std::unexpected(std::move(text.error()));
    for (std::string& line : lines_of(*text)) rules->denied.insert(std::move(line));
  }
  return rules;
}

Api::Api(Engine& engine, std::shared_ptr<const auth::TokenRules> rules)
    : engine_(engine),
      rules_(std::move(rules)),
      router_(
          all_routes(engine), [this] { return rules_; },
          [this] { return engine_.configuration().settings.api_requests_per_second; }) {
  router_.settle = [this](std::move_only_function<void()> then) {
    engine_.settle([then = std::move(then)](bool) mutable { then(); });
  };
  router_.metrics_are_open = [this] { return engine_.configuration().settings.api_metrics_without_token; };
}

Routes all_routes(Engine& engine) {
  Routes all;
  for (Routes part :
       {process_routes(engine), tenant_routes(engine), apply_routes(engine), user_routes(engine),
        cluster_routes(engine), live_routes(engine), pool_routes(engine), ban_routes(engine), web_routes()}) {
    std::ranges::move(part, std::back_inserter(all));
  }
  // The document describes itself too, so it is made last.
  auto text = std::make_shared<std::string>(openapi_of(all));
  for (Route& route : all) {
    if (route.name != "getOpenapi") continue;
    route.act = [text](Call call) {
      call.respond({.content_type = "application/json; charset=utf-8", .constant_body = *text});
    };
  }
  return all;
}

}  // namespace penstock::admin
