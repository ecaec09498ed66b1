#include "cli/api_client.h"

#include <fmt/format.h>

#include "cli/files.h"

namespace penstock::cli {

namespace {

namespace json = boost::json;

std::string from_environment(const World& world, const char* name) {
  const auto found = world.environment.find(name);
  return found == world.environment.end() ? std::string() : found->second;
}

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

void add_api_options(CLI::App& app, ApiOptions& options) {
  constexpr const char* kGroup = "A running server";
  const auto add_file = [&](const char* name, std::string& file, const char* meaning) {
    return app.add_option(name, file, meaning)->type_name("FILE")->group(kGroup);
  };
  app.add_option("--api", options.url, "URL of a server's HTTP port")->type_name("URL")->group(kGroup);
  add_file("--token-file", options.token_file,
           "File with a token for it, see `penstock token` [env: PENSTOCK_API_TOKEN, the token itself]");
  add_file("--ca-file", options.ca_file,
           "Certificates that the server's must come from [otherwise: the system's]");
  CLI::Option* cert =
      add_file("--cert-file", options.cert_file,
               "Certificate to show to a server that demands one (api.require_client_certificate)");
  add_file("--key-file", options.key_file, "Key of that certificate [otherwise: it is in the same file]")
      ->needs(cert);
}

base::Result<ApiClient> ApiClient::open(const ApiOptions& options, const World& world,
                                        std::chrono::milliseconds timeout) {
  if (options.url.empty()) {
    return base::fail(base::kInvalidParameterValue, "--api is missing: where is the server's HTTP port?", {},
                      "It is like --api http://127.0.0.1:6433; see the section [api] of its configuration.");
  }
  std::string token = from_environment(world, "PENSTOCK_API_TOKEN");
  if (!options.token_file.empty()) {
    base::Result<std::string> line = first_line_of(options.token_file);
    if (!line) return base::fail(line.error());
    token = *std::move(line);
  }
  base::Result<http::Client> client = http::Client::make({.url = options.url,
                                                          .ca_file = options.ca_file,
                                                          .cert_file = options.cert_file,
                                                          .key_file = options.key_file,
                                                          .timeout = timeout});
  if (!client) return base::fail(client.error());
  return ApiClient(*std::move(client), options.url, std::move(token));
}

base::Result<http::Answer> ApiClient::ask(http::Request request) {
  if (!token_.empty()) request.headers.emplace_back("authorization", "Bearer " + token_);
  return client_.ask(request);
}

base::Result<http::Answer> ApiClient::get(const std::string& target, const std::string& accept) {
  return ask({.method = "GET", .target = target, .headers = {{"accept", accept}}});
}

base::Result<http::Answer> ApiClient::post(const std::string& target, const json::value& body) {
  return ask({.method = "POST",
              .target = target,
              .headers = {{"accept", "application/json"}, {"content-type", "application/json"}},
              .body = json::serialize(body)});
}

base::Error ApiClient::error_of(const http::Answer& answer) const {
  json::error_code broken;
  const json::value parsed = json::parse(answer.body, broken);
  base::Error error{.sqlstate = base::kInternalError,
                    .message = fmt::format("the server at {} answered with status {}", url_, answer.status)};
  // Whatever else stands on the way there may answer in the server's place, too.
  const bool is_refusal =
      answer.status < 500 || answer.status == 501 ||
      (answer.status == 503 && answer.content_type.starts_with("application/problem+json"));
  if (!is_refusal) error.sqlstate = base::kTransactionResolutionUnknown;
  if (answer.status == 412) error.sqlstate = base::kSerializationFailure;
  if (answer.status == 401 || answer.status == 403) {
    error.hint = "--token-file names a file with a token; `penstock token` makes one.";
  } else if (answer.status == 404) {
    error.hint = "The server may be older than this command.";
  } else if (answer.status == 413) {
    error.hint = "api.body_bytes_max of the server is the limit.";
  }
  const json::object* problem = broken ? nullptr : parsed.if_object();
  if (problem == nullptr) return error;
  const std::string detail = text_of(*problem, "detail"), hint = text_of(*problem, "hint");
  if (!detail.empty()) error.message += ": " + detail;
  if (!hint.empty() && error.hint.empty()) error.hint = hint;
  return error;
}

base::Result<json::object> object_in(const ApiClient& client, const http::Answer& answer) {
  if (answer.status < 200 || answer.status > 299) return base::fail(client.error_of(answer));
  json::error_code broken;
  json::value parsed = json::parse(answer.body, broken);
  if (!broken && parsed.is_object()) return std::move(parsed.get_object());
  return base::fail(base::kConnectionFailure, "the server's answer is no JSON object", {},
                    "Is it Penstock's HTTP port?");
}

}  // namespace penstock::cli
