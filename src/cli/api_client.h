// ApiClient: a running server's HTTP API, for commands: --api, --token-file, --ca-file, …
//
// Owner:  a command. Home: the main thread.
// Errors: what the server says (a problem document), and those of http::Client.
#pragma once

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <string>

#include "cli/command.h"
#include "http/client.h"

namespace penstock::cli {

struct ApiOptions {
  std::string url = {};
  std::string token_file = {};
  std::string ca_file = {};
  std::string cert_file = {};
  std::string key_file = {};
};
void add_api_options(CLI::App& app, ApiOptions& options);

class ApiClient {
 public:
  // Without a token file, the token is that of the environment: PENSTOCK_API_TOKEN.
  static base::Result<ApiClient> open(const ApiOptions& options, const World& world,
                                      std::chrono::milliseconds timeout = std::chrono::seconds(60));

  base::Result<http::Answer> get(const std::string& target, const std::string& accept = "application/json");
  base::Result<http::Answer> post(const std::string& target, const boost::json::value& body);
  // Of an answer that is not 2xx.
  base::Error error_of(const http::Answer& answer) const;

 private:
  ApiClient(http::Client client, std::string url, std::string token)
      : client_(std::move(client)), url_(std::move(url)), token_(std::move(token)) {}
  base::Result<http::Answer> ask(http::Request request);

  http::Client client_;
  std::string url_;
  std::string token_;
};

// An answer that is 2xx and holds an object.
base::Result<boost::json::object> object_in(const ApiClient& client, const http::Answer& answer);

}  // namespace penstock::cli
