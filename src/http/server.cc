#include "http/server.h"

#include <fmt/format.h>

#include "http/server_state.h"
#include "telemetry/log.h"

namespace penstock::http {

namespace log = telemetry::log;

namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptRetry{100};
constexpr int kBacklog = 256;

Connection* longest_in(Server::State& state, Connection::Stage stage) {
  Connection* oldest = nullptr;
  for (Connection& connection : state.connections) {
    if (connection.stage == stage && (oldest == nullptr || connection.since < oldest->since))
      oldest = &connection;
  }
  return oldest;
}

// Ends the connection whose client we have waited for longest; false when all wait for us.
bool make_room(Server::State& state) {
  Connection* oldest = longest_in(state, Connection::Stage::kReceiving);
  if (oldest == nullptr) oldest = longest_in(state, Connection::Stage::kSending);
  if (oldest == nullptr) return false;
  oldest->enter(Connection::Stage::kWorking);  // at its own end, from now on
  oldest->close();
  return true;
}

asio::awaitable<void> accept_all(std::shared_ptr<Server::State> state, std::shared_ptr<tcp::acceptor> door) {
  asio::steady_timer pause(state->io);
  while (!state->is_stopped) {
    auto [error, socket] = co_await door->async_accept(kAwait);
    if (state->is_stopped) co_return;
    if (error) {
      // No descriptors left, or the client has gone already.
      pause.expires_after(kAcceptRetry);
      (void)co_await pause.async_wait(kAwait);
      continue;
    }
    if (state->counts.connections >= state->limits.connections_max && !make_room(*state)) {
      ++state->counts.refused;
      log::warning("api.full", {{"connections", state->counts.connections}},
                   "a connection was refused: all places are taken");
      continue;
    }
    ++state->counts.accepted;
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(state->io, converse(state, std::move(socket)), asio::detached);
  }
}

base::Result<std::shared_ptr<tcp::acceptor>> open_door(asio::io_context& io, const tcp::endpoint& endpoint,
                                                       bool only_v6) {
  auto door = std::make_shared<tcp::acceptor>(io);
  error_code error;
  door->open(endpoint.protocol(), error);
  if (!error) door->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && only_v6) door->set_option(asio::ip::v6_only(true), error);
  if (!error) door->bind(endpoint, error);
  if (!error) door->listen(kBacklog, error);
  if (!error) return door;
  const bool unknown = error == asio::error::address_family_not_supported ||
                       error == boost::system::errc::address_not_available;
  return base::fail(unknown ? base::kFeatureNotSupported : base::kIoError,
                    fmt::format("could not listen on {} port {} for HTTP: {}", endpoint.address().to_string(),
                                endpoint.port(), error.message()),
                    "", error == asio::error::address_in_use ? "Set api.port to a free one." : "");
}

}  // namespace

Server::Server(Loop& loop, Handler handler, Limits limits)
    : state_(std::make_shared<State>(loop, std::move(handler), limits)) {}

Server::~Server() {
  stop();
}

void Server::set_tls(std::shared_ptr<const tls::ServerContext> context) {
  state_->tls = std::move(context);
}

base::Result<std::uint16_t> Server::listen(const std::string& address, std::uint16_t port) {
  std::vector<tcp::endpoint> endpoints;
  if (address == "*") {
    endpoints = {tcp::endpoint(tcp::v4(), port), tcp::endpoint(tcp::v6(), port)};
  } else {
    error_code error;
    const auto ip = asio::ip::make_address(address, error);
    if (error) {
      return base::fail(base::kInvalidParameterValue, "\"" + address + "\" is not an IP address", "",
                        "Use an address such as 127.0.0.1 or ::1, or * for all.");
    }
    endpoints = {tcp::endpoint(ip, port)};
  }
  for (tcp::endpoint& endpoint : endpoints) {
    endpoint.port(port);
    auto door = open_door(state_->io, endpoint, address == "*" && endpoint.address().is_v6());
    if (!door) {
      // "*" means what there is: a machine may have no IPv6.
      if (endpoints.size() == 2 && endpoint.address().is_v6() &&
          door.error().sqlstate == base::kFeatureNotSupported)
        break;
      return std::unexpected(std::move(door.error()));
    }
    port = (*door)->local_endpoint().port();
    state_->doors.push_back(*door);
    asio::co_spawn(state_->io, accept_all(state_, *door), asio::detached);
  }
  return port;
}

void Server::finish() {
  state_->is_stopped = true;
  error_code ignored;
  for (const auto& door : state_->doors) door->close(ignored);
  state_->doors.clear();
  for (Connection& connection : state_->connections) {
    if (connection.stage == Connection::Stage::kReceiving) connection.close();
  }
}

bool Server::is_answering() const {
  for (const Connection& connection : state_->connections) {
    if (connection.stage != Connection::Stage::kReceiving) return true;
  }
  return false;
}

void Server::stop() {
  finish();
  for (Connection& connection : state_->connections) connection.close();
}

ServerCounts Server::counts() const {
  return state_->counts;
}

}  // namespace penstock::http
