#include "support/sim_backend.h"

#include <utility>

#include "support/sim_postgres.h"

namespace penstock::sim {

namespace {

constexpr std::size_t kOutputMax = 32 * 1024;  // unsent bytes beyond which a backend waits

std::string random_key(base::Random& random) {
  return be32(static_cast<std::uint32_t>(random.next_u64()));
}

}  // namespace

SimBackend::SimBackend(SimPostgres& server, std::uint32_t pid, io::StreamPtr stream)
    : server_(server), pid_(pid), key_(random_key(server.world().random())), stream_(std::move(stream)) {}

SimBackend::~SimBackend() {
  if (counted_) server_.checkers().limits.closed(limit_name_);
  server_.checkers().isolation.backend_gone(pid_);
}

// ---------------------------------------------------------------- the connection

void SimBackend::on_data(io::Chunk bytes) {
  splitter_.feed(bytes.view());
  if (splitter_.buffered() > 256 * 1024) stream_->pause_receiving();
  pump();
}

void SimBackend::on_end(const base::Error*) {
  state_ = State::kGone;
  server_.forget(pid_);
}

// Handles messages until one takes time, the peer does not read, or none is left.
void SimBackend::pump() {
  while (state_ != State::kGone && !sleeping_) {
    if (stream_->unsent() + out_.size() > kOutputMax) break;
    if (running_.has_value()) {
      continue_rows();
      continue;
    }
    if (in_query_ && state_ != State::kCopyIn) {
      next_of_query();
      continue;
    }
    const auto message = splitter_.next();
    if (!message.has_value()) break;
    handle(*message);
  }
  if (state_ == State::kGone) return;
  if (splitter_.broken()) {
    return protocol_violation(fmt::format("broken framing at {:?}", splitter_.peek().substr(0, 60)));
  }
  if (splitter_.buffered() < 128 * 1024) stream_->resume_receiving();
  flush();
}

void SimBackend::flush() {
  if (out_.empty() || state_ == State::kGone) return;
  // A server's writes are cut anywhere, as its buffer fills.
  const auto cut = server_.world().random().below(out_.size() + 1);
  stream_->write(base::as_bytes(std::string_view(out_).substr(0, cut)));
  stream_->write(base::as_bytes(std::string_view(out_).substr(cut)));
  out_.clear();
}

void SimBackend::handle(const Message& message) {
  if (state_ == State::kStartup) return on_startup(message);
  if (state_ == State::kPassword) return on_password(message);
  if (message.type == 'X') {
    flush();
    return on_end(nullptr);
  }
  if (state_ == State::kCopyIn) return on_copy(message);
  if (message.type == 'd' || message.type == 'c' || message.type == 'f') return;  // the rest of a failed COPY
  if (message.type == 'S') return on_sync();
  if (skipping_) return;
  if (message.type == 'Q') return on_query(Fields(message.body).text());
  if (message.type == 'H') return flush();
  switch (message.type) {
    case 'P':
      on_parse(Fields(message.body));
      break;
    case 'B':
      on_bind(Fields(message.body));
      break;
    case 'D':
      on_describe(Fields(message.body));
      break;
    case 'E':
      on_execute(Fields(message.body));
      break;
    case 'C':
      on_close(Fields(message.body));
      break;
    default:
      return protocol_violation(fmt::format("message type {:#x}", static_cast<unsigned>(message.type)));
  }
  extended_open_ = true;
}

void SimBackend::protocol_violation(const std::string& what) {
  server_.checkers().verdict.violate(Rule::kServerProtocol, what);
  refuse("08P01", what);
}

// ---------------------------------------------------------------- start-up

void SimBackend::on_startup(const Message& message) {
  Fields fields(message.body);
  const auto code = fields.be32();
  if (code == kSslRequest || code == kGssRequest) {
    send("N");
    splitter_.expect_startup();
    return;
  }
  if (code == kCancelRequest) {
    const auto pid = fields.be32();
    server_.cancel(pid, fields.bytes(4));
    return on_end(nullptr);
  }
  if (code >> 16 != 3) return protocol_violation("start-up code");
  while (fields.ok() && !fields.at_end()) {
    const auto name = fields.text();
    if (name.empty()) break;
    settings_[name] = fields.text();
  }
  if (!fields.ok() || settings_["user"].empty()) return protocol_violation("start-up packet");
  begin_login();
}

void SimBackend::begin_login() {
  auto& world = server_.world();
  if (world.chance(server_.options().refuse_percent))
    return refuse("57P03", "the database system is starting up");
  if (static_cast<int>(server_.backend_count()) > server_.options().max_connections) {
    return refuse("53300", "sorry, too many clients already");
  }
  if (server_.options().password.empty()) return greet();
  std::string salt(16, '\0');
  server_.loop().random().fill({reinterpret_cast<std::uint8_t*>(salt.data()), salt.size()});
  scram_ = std::make_unique<auth::ScramServer>(auth::make_verifier(server_.options().password, salt, 1),
                                               server_.loop().random(), auth::ScramServer::Options{});
  send(message('R', be32(10) + zero_ended("SCRAM-SHA-256") + '\0'));
  state_ = State::kPassword;
}

void SimBackend::on_password(const Message& received) {
  if (received.type != 'p') return protocol_violation("no password message");
  Fields fields(received.body);
  const bool first = !scram_->mechanisms().empty() && received.body.find('\0') != std::string::npos;
  const auto mechanism = first ? fields.text() : "";
  const auto reply =
      first ? scram_->first(mechanism, fields.bytes(fields.be32())) : scram_->final(received.body);
  if (!reply) return refuse("28P01", "password authentication failed");
  send(message('R', be32(first ? 11 : 12) + *reply));
  if (!first) greet();
}

void SimBackend::greet() {
  state_ = State::kReady;
  limit_name_ = settings_["user"] + "@" + settings_["database"];
  counted_ = true;
  server_.checkers().limits.opened(limit_name_);
  startup_application_name_ = settings_["application_name"];
  send(message('R', be32(0)));
  send(message('S', zero_ended("server_version") + zero_ended("16.3 (simulated)")));
  send(message('S', zero_ended("client_encoding") + zero_ended("UTF8")));
  send(message('S', zero_ended("application_name") + zero_ended(settings_["application_name"])));
  send(message('K', be32(pid_) + key_));
  ready();
}

void SimBackend::refuse(std::string_view sqlstate, std::string_view text) {
  send(error_message("FATAL", sqlstate, text));
  flush();
  io::finish(std::move(stream_));
  on_end(nullptr);
}

void SimBackend::terminate() {
  if (state_ == State::kGone) return;
  refuse("57P01", "terminating connection due to administrator command");
}

void SimBackend::cancel(const std::string& key) {
  if (key != key_ || !running_.has_value()) return;
  if (running_->token.has_value()) server_.checkers().cancels.hit(*running_->token);
  cancelled_ = true;
  if (!sleeping_) return;
  timer_.cancel();
  on_awake();
}

void SimBackend::on_notify(std::uint32_t from_pid, const std::string& channel, const std::string& payload) {
  if (state_ != State::kReady || !channels_.contains(channel)) return;
  pending_notifications_ += message('A', be32(from_pid) + zero_ended(channel) + zero_ended(payload));
  if (transaction_ == 'I' && !extended_open_ && !running_.has_value() && !in_query_) {
    send(std::exchange(pending_notifications_, {}));
    flush();
  }
}

// In the middle of a message, if there is one to send.
void SimBackend::die() {
  const auto half = out_.size() - out_.size() / 3;
  if (half > 0) stream_->write(base::as_bytes(std::string_view(out_).substr(0, half)));
  stream_->shutdown_sending();
  io::finish(std::move(stream_));
  on_end(nullptr);
}

void SimBackend::sleep(base::Duration time) {
  sleeping_ = true;
  server_.loop().timers().arm(timer_, server_.loop().now() + time);
}

void SimBackend::on_awake() {
  sleeping_ = false;
  pump();
}

void SimBackend::error(std::string_view sqlstate, std::string_view text) {
  send(error_message("ERROR", sqlstate, text));
  running_.reset();
  cancelled_ = false;
  if (transaction_ == 'T') transaction_ = 'E';
  if (in_query_) {
    in_query_ = false;
    ready();
  } else {
    skipping_ = true;
  }
}

void SimBackend::ready() {
  if (transaction_ == 'I') send(std::exchange(pending_notifications_, {}));
  send(message('Z', std::string(1, transaction_)));
}

}  // namespace penstock::sim
