#include "upstream/dial.h"

#include <fmt/format.h>

#include "auth/md5.h"
#include "io/await.h"
#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "tls/handshake.h"
#include "tls/tls_stream.h"
#include "upstream/message_reader.h"

namespace penstock::upstream {

namespace {

using pgwire::Message;

// What a server may report of itself at log-in; Postgres reports some hundreds of bytes.
constexpr std::size_t kParametersBytesMax = 1 << 20;

base::Error about(const io::Address& address, base::Error error) {
  if (error.sqlstate == base::kConnectionFailure &&
      error.message.find(address.to_string()) == std::string::npos) {
    error.message =
        fmt::format("connection to server at \"{}\" failed: {}", address.to_string(), error.message);
  }
  return error;
}

bool wants_tls_first(const DialPlan& plan, const io::Address& address) {
  return plan.tls != nullptr && plan.tls_mode >= model::TlsMode::kPrefer && !address.is_unix();
}

bool demands_tls(const DialPlan& plan, const io::Address& address) {
  return plan.tls_mode >= model::TlsMode::kRequire && !address.is_unix();
}

// Asks for TLS and, if the server agrees, does the handshake. `on_tls` says which it became.
io::Task<base::Result<io::StreamPtr>> secure(DialTools tools, std::shared_ptr<const DialPlan> plan,
                                             io::StreamPtr stream, std::string host,
                                             base::TimePoint deadline) {
  (void)tools;
  MessageReader reader(std::move(stream));
  base::ByteWriter request;
  pgwire::build_ssl_request(request);
  reader.write(request);
  const auto answer = co_await reader.byte(deadline);
  if (!answer) co_return base::fail(answer.error());
  // Bytes behind the answer were sent in the clear by somebody who hopes that we take them for encrypted.
  if (reader.has_more()) {
    co_return base::fail(base::kProtocolViolation, "received unencrypted data after SSL response");
  }
  std::vector<io::Chunk> none;
  stream = reader.release(none);
  if (answer->type == pgwire::kAnswerNo) {
    if (plan->tls_mode >= model::TlsMode::kRequire) {
      co_return base::fail(base::kConnectionFailure, "the server does not support TLS, but TLS is required",
                           "",
                           "Switch TLS on at the server, or set the tenant's upstream_tls to \"prefer\".");
    }
    co_return stream;
  }
  if (answer->type != pgwire::kAnswerYesSsl) {
    co_return base::fail(base::kProtocolViolation, "the server gave no valid answer to a request for TLS");
  }
  auto secured = co_await tls::connect(std::move(stream), plan->tls,
                                       tls::ConnectOptions{.host = std::move(host), .deadline = deadline});
  if (!secured) co_return base::fail(std::move(secured.error()));
  co_return std::move(*secured);
}

class Login {
 public:
  Login(DialTools tools, const DialPlan& plan, const Credential& credential, MessageReader& reader,
        base::TimePoint deadline)
      : tools_(tools), plan_(plan), credential_(credential), reader_(reader), deadline_(deadline) {}

  io::Task<base::Result<LoggedIn>> run() {
    base::ByteWriter startup;
    pgwire::Parameters parameters = plan_.parameters;
    parameters.emplace_back("user", plan_.user);
    parameters.emplace_back("database", plan_.database);
    pgwire::build_startup(startup, 3, 0, parameters);
    reader_.write(startup);
    LoggedIn result;
    for (;;) {
      const auto message = co_await reader_.message(deadline_);
      if (!message) co_return base::fail(message.error());
      auto step = take(*message, result);
      if (!step) co_return base::fail(std::move(step.error()));
      if (*step) co_return result;
    }
  }

 private:
  // True: the server is ready for queries.
  base::Result<bool> take(const Message& message, LoggedIn& result) {
    namespace reply = pgwire::reply;
    switch (message.type) {
      case reply::kAuthentication: {
        if (auto done = authenticate(message.body); !done) return std::unexpected(std::move(done.error()));
        return false;
      }
      case reply::kParameterStatus: {
        const auto status = pgwire::parse_parameter_status(message.body);
        if (!status) return std::unexpected(status.error());
        parameters_bytes_ += message.body.size();
        if (parameters_bytes_ > kParametersBytesMax) {
          return base::fail(base::kProtocolViolation, "the server reported too many parameters at log-in");
        }
        result.parameters.emplace_back(status->name, status->value);
        return false;
      }
      case reply::kBackendKeyData: {
        const auto key = pgwire::parse_backend_key_data(message.body);
        if (!key) return std::unexpected(key.error());
        result.process_id = key->process_id;
        result.cancel_key = key->key;
        return false;
      }
      case reply::kErrorResponse: {
        auto error = pgwire::parse_error(message.body);
        if (!error) return std::unexpected(std::move(error.error()));
        return std::unexpected(std::move(error->error));
      }
      case reply::kNoticeResponse:
      case reply::kNegotiateProtocolVersion:
        return false;
      case reply::kReadyForQuery:
        if (!authenticated_) break;
        return true;
      default:
        break;
    }
    return base::fail(
        base::kProtocolViolation,
        fmt::format("unexpected message type 0x{:02X} from the server during log-in", message.type));
  }

  base::Status authenticate(base::ByteView body) {
    const auto request = pgwire::parse_authentication(body);
    if (!request) return std::unexpected(request.error());
    namespace code = pgwire::auth_code;
    switch (request->code) {
      case code::kOk:
        if (scram_.has_value() && !scram_->verified()) {
          return base::fail(base::kInvalidAuthorization,
                            "the server has not proven that it knows the password");
        }
        authenticated_ = true;
        return {};
      case code::kCleartextPassword:
        return send_password(plain_password());
      case code::kMd5Password:
        return answer_md5(request->salt);
      case code::kSasl:
        return start_scram(request->mechanisms);
      case code::kSaslContinue:
        return continue_scram(request->data);
      case code::kSaslFinal:
        if (!scram_.has_value()) break;
        return scram_->verify(request->data);
      default:
        break;
    }
    return base::fail(
        base::kFeatureNotSupported,
        fmt::format("the server asks for authentication method {}, which is not supported", request->code));
  }

  base::Result<std::string> plain_password() const {
    if (credential_.secret.has_value() && credential_.secret->kind() == auth::Secret::Kind::kPlain) {
      return std::string(credential_.secret->plain());
    }
    return base::fail(
        base::kInvalidPassword,
        fmt::format("the server asks for the password of user \"{}\", which is not known", plan_.user), "",
        "Set upstream_secret, or store the password itself (not a verifier) as the user's secret.");
  }

  base::Status send_password(base::Result<std::string> text) {
    if (!text) return std::unexpected(std::move(text.error()));
    base::ByteWriter out;
    pgwire::password(out, *text);
    reader_.write(out);
    return {};
  }

  base::Status answer_md5(const std::array<std::uint8_t, 4>& salt) {
    const auto& secret = credential_.secret;
    if (!secret.has_value() || secret->kind() == auth::Secret::Kind::kScram) {
      return send_password(plain_password());
    }
    return send_password(auth::md5_response(*secret, plan_.user, salt));
  }

  base::Status start_scram(const std::vector<std::string_view>& mechanisms) {
    auth::ScramCredential credential;
    if (credential_.secret.has_value() && credential_.secret->kind() == auth::Secret::Kind::kPlain) {
      credential = auth::WipedText(std::string(credential_.secret->plain()));
    } else if (credential_.keys.has_value()) {
      credential = *credential_.keys;
    } else {
      auto missing = plain_password();
      return std::unexpected(std::move(missing.error()));
    }
    auto* tls = dynamic_cast<tls::TlsStream*>(&reader_.stream());
    auth::ScramClient::Options options{.on_tls = tls != nullptr};
    if (tls != nullptr) options.channel_binding = tls->engine().channel_binding();
    auto client = auth::ScramClient::choose(mechanisms, std::move(credential), tools_.loop.random(),
                                            tools_.scram_keys, std::move(options));
    if (!client) return std::unexpected(std::move(client.error()));
    scram_.emplace(std::move(*client));
    base::ByteWriter out;
    const std::string first = scram_->first();
    pgwire::sasl_initial_response(out, scram_->mechanism(), first);
    reader_.write(out);
    return {};
  }

  base::Status continue_scram(std::string_view data) {
    if (!scram_.has_value())
      return base::fail(base::kProtocolViolation, "unexpected SASL message from the server");
    auto response = scram_->respond(data);
    if (!response) return std::unexpected(std::move(response.error()));
    base::ByteWriter out;
    pgwire::sasl_response(out, *response);
    reader_.write(out);
    return {};
  }

  DialTools tools_;
  const DialPlan& plan_;
  const Credential& credential_;
  MessageReader& reader_;
  base::TimePoint deadline_;
  std::optional<auth::ScramClient> scram_;
  bool authenticated_ = false;
  std::size_t parameters_bytes_ = 0;
};

enum class Which : std::uint8_t { kCredential, kOther };

io::Task<base::Result<LoggedIn>> log_in(DialTools tools, std::shared_ptr<const DialPlan> plan,
                                        io::Address address, std::string host, Which which, bool with_tls) {
  const std::string name = host;
  auto stream = co_await io::ConnectAwait(tools.loop, address, tools.loop.now() + plan->connect_timeout);
  if (!stream) co_return base::fail(std::move(stream.error()));
  const base::TimePoint deadline = tools.loop.now() + plan->login_timeout;
  io::StreamPtr ready = std::move(*stream);
  if (with_tls) {
    auto secured = co_await secure(tools, plan, std::move(ready), std::move(host), deadline);
    if (!secured) co_return base::fail(std::move(secured.error()));
    ready = std::move(*secured);
  }
  pgwire::MessageAssembler::Limits limits;
  limits.message_bytes_max = 1 << 20;
  MessageReader reader(std::move(ready), limits);
  const bool is_other = which == Which::kOther;
  Login login(tools, *plan, is_other ? plan->other_credential : plan->credential, reader, deadline);
  auto result = co_await login.run();
  if (result) {
    result->address = address;
    result->host = name;
    result->by_other_credential = is_other;
    if (auto* tls = dynamic_cast<tls::TlsStream*>(&reader.stream())) result->tls = tls->engine().negotiated();
    result->stream = reader.release(result->received);
  }
  co_return result;
}

// Whether another host may well say something else: this one is starting, stopping, full or unreachable.
bool worth_another_host(const base::Error& error) {
  return error.sqlstate.category() == "08" || error.sqlstate.category() == "57" ||
         error.sqlstate.category() == "53";
}

// Leaves of a host's addresses those that are asked for.
base::Status choose_addresses(std::vector<io::Address>& addresses, model::IpVersion version,
                              const std::string& host) {
  if (version == model::IpVersion::kAuto) return {};
  const int family = version == model::IpVersion::kV4 ? AF_INET : AF_INET6;
  std::erase_if(addresses,
                [&](const io::Address& address) { return !address.is_unix() && address.family() != family; });
  if (!addresses.empty()) return {};
  return base::fail(base::kConnectionFailure,
                    fmt::format("host \"{}\" has no {} address", host, family == AF_INET ? "IPv4" : "IPv6"),
                    "", "See the tenant's ip_version.");
}

// Whether the server refused because of the kind of connection, so that the other kind is worth a try (allow,
// prefer).
bool refused_for_encryption(const base::Error& error) {
  return error.sqlstate == base::kInvalidAuthorization;
}

io::Task<base::Result<LoggedIn>> log_in_with_fallback(DialTools tools, std::shared_ptr<const DialPlan> plan,
                                                      io::Address address, std::string host, Which which) {
  const bool tls_first = wants_tls_first(*plan, address);
  auto result = co_await log_in(tools, plan, address, host, which, tls_first);
  const bool other_kind_allowed = plan->tls != nullptr && !address.is_unix() &&
                                  !demands_tls(*plan, address) && plan->tls_mode != model::TlsMode::kDisable;
  if (!result && other_kind_allowed && refused_for_encryption(result.error())) {
    auto second = co_await log_in(tools, plan, address, host, which, !tls_first);
    if (second) co_return second;
  }
  co_return result;
}

io::Task<base::Result<LoggedIn>> log_in_by_either(DialTools tools, std::shared_ptr<const DialPlan> plan,
                                                  io::Address address, std::string host) {
  const bool has_other = plan->other_credential.usable();
  const bool only_other = has_other && !plan->credential.usable();
  const Which which = only_other ? Which::kOther : Which::kCredential;
  auto result = co_await log_in_with_fallback(tools, plan, address, host, which);
  if (!result && has_other && !only_other && result.error().sqlstate == base::kInvalidPassword) {
    auto second = co_await log_in_with_fallback(tools, plan, address, host, Which::kOther);
    if (second) co_return second;
  }
  co_return result;
}

}  // namespace

bool same_target(const DialPlan& a, const DialPlan& b) {
  return a.hosts == b.hosts && a.user == b.user && a.database == b.database && a.parameters == b.parameters &&
         a.ip_version == b.ip_version && a.tls_mode == b.tls_mode && a.tls == b.tls;
}

io::Task<base::Result<LoggedIn>> dial(DialTools tools, std::shared_ptr<const DialPlan> plan) {
  base::Error last{.sqlstate = base::kConnectionFailure, .message = "no host is configured"};
  for (const model::HostPort& host : plan->hosts) {
    const base::TimePoint deadline = tools.loop.now() + plan->connect_timeout;
    auto addresses = co_await io::ResolveAwait(tools.resolver, host.host, host.port, tools.loop, deadline);
    if (!addresses) {
      last = std::move(addresses.error());
      continue;
    }
    if (auto some = choose_addresses(*addresses, plan->ip_version, host.host); !some) {
      last = std::move(some.error());
      continue;
    }
    for (const io::Address& address : *addresses) {
      auto result = co_await log_in_by_either(tools, plan, address, host.host);
      if (result) co_return result;
      last = about(address, std::move(result.error()));
      last.where = address.to_string();
      if (!worth_another_host(last)) co_return base::fail(std::move(last));
    }
  }
  co_return base::fail(std::move(last));
}

io::Task<CancelEnd> cancel(DialTools tools, std::shared_ptr<const DialPlan> plan, CancelTarget target) {
  const io::Address address = target.address;
  const base::TimePoint deadline = tools.loop.now() + plan->connect_timeout;
  auto stream = co_await io::ConnectAwait(tools.loop, address, deadline);
  if (!stream) co_return CancelEnd::kCertain;
  io::StreamPtr ready = std::move(*stream);
  if (wants_tls_first(*plan, address)) {
    auto secured = co_await secure(tools, plan, std::move(ready), target.host, deadline);
    if (!secured) co_return CancelEnd::kCertain;
    ready = std::move(*secured);
  }
  MessageReader reader(std::move(ready));
  base::ByteWriter out;
  pgwire::build_cancel_request(out, target.process_id, target.key);
  reader.write(out);
  // The server answers nothing; it closes when the signal has been sent.
  const auto answer = co_await reader.byte(deadline);
  co_return !answer && reader.closed_by_peer() ? CancelEnd::kCertain : CancelEnd::kInDoubt;
}

void cancel_unattended(DialTools tools, std::shared_ptr<const DialPlan> plan, CancelTarget target) {
  auto task = std::make_shared<io::Task<CancelEnd>>(cancel(tools, std::move(plan), std::move(target)));
  io::Loop& loop = tools.loop;
  if (tools.unattended != nullptr) ++*tools.unattended;
  // It keeps itself until it is done.
  loop.defer([task = std::move(task), &loop, count = tools.unattended] {
    task->start([task, &loop, count] {
      if (count != nullptr) --*count;
      loop.defer([task] {});
    });
  });
}

}  // namespace penstock::upstream
