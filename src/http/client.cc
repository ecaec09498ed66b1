#include "http/client.h"

#include <fmt/format.h>

#include <future>
#include <optional>
#include <thread>
#include <tuple>

#include "base/version.h"
#include "http/beast.h"

namespace penstock::http {

namespace {

namespace bhttp = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Plain = beast::tcp_stream;
using Tls = beast::ssl_stream<beast::tcp_stream>;
using Clock = std::chrono::steady_clock;
using Places = tcp::resolver::results_type;

// How long a connection may have been idle for a request that cannot be asked twice. Servers and proxies keep one for
// some seconds at least.
constexpr std::chrono::seconds kFreshFor{1};

struct Target {
  bool is_encrypted = false;
  std::string host = {};  // without brackets
  std::string port = {};
  std::string authority = {};  // as in the Host header
  std::string path = {};       // before all targets
};

base::Result<Target> parse_url(std::string_view url) {
  const auto refuse = [&] {
    return base::fail(base::kInvalidParameterValue, fmt::format("\"{}\" is not the URL of an HTTP port", url),
                      {}, "It is like http://127.0.0.1:6433 or https://pooler.example.com.");
  };
  Target target;
  constexpr std::string_view kHttp = "http://", kHttps = "https://";
  target.is_encrypted = url.starts_with(kHttps);
  if (!target.is_encrypted && !url.starts_with(kHttp)) return refuse();
  std::string_view rest = url.substr(target.is_encrypted ? kHttps.size() : kHttp.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  target.path = rest.substr(slash);
  while (target.path.ends_with('/')) target.path.pop_back();
  rest = rest.substr(0, slash);
  target.authority = rest;
  target.port = target.is_encrypted ? "443" : "80";
  const std::size_t bracket = rest.find(']');
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    target.port = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  target.host = rest;
  const bool is_number = !target.port.empty() && target.port.size() <= 5 &&
                         target.port.find_first_not_of("0123456789") == std::string::npos;
  const bool is_clean = target.authority.find_first_of("@?# ") == std::string::npos &&
                        target.path.find_first_of("?# ") == std::string::npos;
  if (target.host.empty() || !is_number || !is_clean) return refuse();
  return target;
}

// The system's search for a name cannot be broken off: it is left behind, on a thread of its own, when it takes too long.
std::pair<error_code, Places> find(const Target& target, Clock::time_point deadline) {
  struct Search {
    asio::io_context io;
    tcp::resolver resolver{io};
    std::promise<std::pair<error_code, Places>> found;
  };
  auto search = std::make_shared<Search>();
  auto found = search->found.get_future();
  std::thread([search, host = target.host, port = target.port] {
    error_code error;
    Places places = search->resolver.resolve(host, port, error);
    search->found.set_value({error, std::move(places)});
  }).detach();
  if (found.wait_until(deadline) == std::future_status::ready) return found.get();
  return {beast::error::timeout, {}};
}

}  // namespace

struct Client::State {
  ClientOptions options;
  Target target;
  asio::io_context io{1};
  asio::ssl::context tls{asio::ssl::context::tls_client};
  std::optional<Plain> plain;
  std::optional<Tls> encrypted;
  beast::flat_buffer buffer;
  Clock::time_point used_at;   // the connection
  Clock::time_point deadline;  // of the request
  bool is_sent = false;        // some of it, maybe

  bool is_connected() const { return plain.has_value() || encrypted.has_value(); }
  void disconnect() {
    plain.reset();
    encrypted.reset();
    buffer.clear();
  }
  base::Status prepare_tls();
  asio::awaitable<error_code> connect(const Places& places, std::string& what);
  template <class Stream>
  asio::awaitable<error_code> exchange(Stream& stream, const Request& request, Answer& answer);
  asio::awaitable<error_code> ask(const Request& request, const Places& places, Answer& answer,
                                  std::string& what);
  std::pair<error_code, std::string> run(const Request& request, Answer& answer);
};

base::Status Client::State::prepare_tls() {
  error_code error;
  if (options.ca_file.empty()) {
    tls.set_default_verify_paths(error);
  } else {
    tls.load_verify_file(options.ca_file, error);
  }
  if (error) {
    return base::fail(base::kConfigFileError, fmt::format("could not read the certificates in \"{}\": {}",
                                                          options.ca_file, error.message()));
  }
  tls.set_verify_mode(asio::ssl::verify_peer);
  if (options.cert_file.empty()) return {};
  const std::string& key_file = options.key_file.empty() ? options.cert_file : options.key_file;
  tls.use_certificate_chain_file(options.cert_file, error);
  if (error) {
    return base::fail(base::kConfigFileError, fmt::format("could not read the certificate in \"{}\": {}",
                                                          options.cert_file, error.message()));
  }
  tls.use_private_key_file(key_file, asio::ssl::context::pem, error);
  if (error) {
    return base::fail(base::kConfigFileError,
                      fmt::format("could not use the key in \"{}\": {}", key_file, error.message()));
  }
  return {};
}

asio::awaitable<error_code> Client::State::connect(const Places& places, std::string& what) {
  what = "could not be reached";
  Plain stream(io);
  stream.expires_at(deadline);
  auto [refused, place] = co_await stream.async_connect(places, kAwait);
  if (refused) co_return refused;
  error_code ignored;
  stream.socket().set_option(tcp::no_delay(true), ignored);
  if (!target.is_encrypted) {
    plain.emplace(std::move(stream));
    co_return error_code{};
  }
  what = "is not who it should be";
  encrypted.emplace(std::move(stream), tls);
  encrypted->set_verify_callback(asio::ssl::host_name_verification(target.host));
  (void)SSL_set_tlsext_host_name(encrypted->native_handle(), target.host.c_str());
  auto [failed] = co_await encrypted->async_handshake(asio::ssl::stream_base::client, kAwait);
  co_return failed;
}

template <class Stream>
asio::awaitable<error_code> Client::State::exchange(Stream& stream, const Request& request, Answer& answer) {
  bhttp::request<bhttp::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(target.path + request.target);
  message.set(bhttp::field::host, target.authority);
  message.set(bhttp::field::user_agent, fmt::format("penstock/{}", base::kVersion));
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = request.body;
  message.prepare_payload();
  beast::get_lowest_layer(stream).expires_at(deadline);
  is_sent = true;
  auto [unsent, sent] = co_await bhttp::async_write(stream, message, kAwait);
  if (unsent) co_return unsent;
  bhttp::response_parser<bhttp::string_body> parser;
  parser.body_limit(options.body_bytes_max);
  auto [unread, read] = co_await bhttp::async_read(stream, buffer, parser, kAwait);
  if (unread) co_return unread;
  bhttp::response<bhttp::string_body> response = parser.release();
  answer.status = static_cast<int>(response.result_int());
  answer.content_type = std::string(response[bhttp::field::content_type]);
  answer.body = std::move(response.body());
  used_at = Clock::now();
  if (!response.keep_alive()) disconnect();
  co_return error_code{};
}

asio::awaitable<error_code> Client::State::ask(const Request& request, const Places& places, Answer& answer,
                                               std::string& what) {
  if (!is_connected()) {
    const error_code unconnected = co_await connect(places, what);
    if (unconnected) co_return unconnected;
  }
  what = "does not answer";
  error_code error;
  if (plain) {
    error = co_await exchange(*plain, request, answer);
  } else {
    error = co_await exchange(*encrypted, request, answer);
  }
  co_return error;
}

std::pair<error_code, std::string> Client::State::run(const Request& request, Answer& answer) {
  std::pair<error_code, std::string> result;
  Places places;
  if (!is_connected()) {
    std::tie(result.first, places) = find(target, deadline);
    result.second = "could not be found";
    if (result.first) return result;
  }
  io.restart();
  asio::co_spawn(io, ask(request, places, answer, result.second),
                 [&](const std::exception_ptr&, error_code error) { result.first = error; });
  io.run();
  if (result.first) disconnect();
  return result;
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

base::Result<Client> Client::make(const ClientOptions& options) {
  base::Result<Target> target = parse_url(options.url);
  if (!target) return base::fail(target.error());
  auto state = std::make_unique<State>();
  state->options = options;
  state->target = *std::move(target);
  if (state->target.is_encrypted) {
    if (const base::Status status = state->prepare_tls(); !status) return base::fail(status.error());
  }
  return Client(std::move(state));
}

base::Result<Answer> Client::ask(const Request& request) {
  State& state = *state_;
  const bool may_repeat = request.method == "GET";
  const Clock::time_point now = Clock::now();
  state.deadline = now + state.options.timeout;
  state.is_sent = false;
  if (!may_repeat && now - state.used_at > kFreshFor) state.disconnect();
  const bool was_connected = state.is_connected();
  Answer answer;
  auto [error, what] = state.run(request, answer);
  // The server may have closed a connection that was idle.
  if (error && error != beast::error::timeout && was_connected && may_repeat) {
    answer = {};
    std::tie(error, what) = state.run(request, answer);
  }
  if (!error) return answer;
  const bool wants_certificate =
      error.category() == asio::error::get_ssl_category() &&
      ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED;
  if (wants_certificate) {
    return base::fail(
        base::kConnectionFailure,
        fmt::format("the server at {} demands a certificate of its client", state_->options.url), {},
        "Show it one with --cert-file.");
  }
  const std::string reason = error == beast::error::timeout ? "timeout" : error.message();
  return base::fail(
      state.is_sent && !may_repeat ? base::kTransactionResolutionUnknown : base::kConnectionFailure,
      fmt::format("the server at {} {}: {}", state.options.url, what, reason), {},
      "The HTTP port is the one of the section [api] in the server's configuration.");
}

}  // namespace penstock::http
