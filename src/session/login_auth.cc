// The log-in's question "who is it": one function for each way to prove it.
#include <fmt/format.h>
#include <pwd.h>  // HOUSE(syscall): peer authentication means the system's own user names

#include <algorithm>
#include <array>

#include "auth/md5.h"
#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "session/login.h"

namespace penstock::session {

model::AuthMethod Login::auth_method() const {
  return user_ != nullptr && user_->auth_method.has_value() ? *user_->auth_method
                                                            : resolved_.tenant->auth_method;
}

// Many a client asks whether a password is needed, and comes again with one (psql): that one leaves is no fault.
io::Task<base::Result<pgwire::Message>> Login::client_answer() {
  auto message = co_await reader_->message(deadline_);
  co_await home_.login_pace.step();
  if (!message) co_return base::fail(quiet_unless_late(std::move(message.error())));
  co_return message;
}

io::Task<base::Status> Login::authenticate() {
  base::Status status;
  switch (auth_method()) {
    case model::AuthMethod::kTrust:
      if (user_ == nullptr) status = std::unexpected(wrong_password());
      break;
    case model::AuthMethod::kMd5:
      if (can_do_md5()) {
        status = co_await authenticate_md5();
      } else {
        status = co_await authenticate_scram();
      }
      break;
    case model::AuthMethod::kPassword:
      status = co_await authenticate_password();
      break;
    case model::AuthMethod::kScram:
      status = co_await authenticate_scram();
      break;
    case model::AuthMethod::kCertificate:
    case model::AuthMethod::kPeer:
      break;  // there is nothing to ask for
  }
  // The method may have become another one while the client was asked for its password.
  if (status && auth_method() == model::AuthMethod::kPeer) status = authenticate_peer();
  const bool must_show_certificate =
      auth_method() == model::AuthMethod::kCertificate ||
      (tls_stream() != nullptr && instructions_.settings->client_tls_mode == model::TlsMode::kVerifyFull);
  if (status && must_show_certificate) status = authenticate_certificate();
  if (!status) co_return status;
  private_reason_.clear();  // what fails from here on has other reasons
  base::ByteWriter out;
  pgwire::authentication_ok(out);
  send(out);
  co_return base::Status{};
}

// A verifier can be checked by SCRAM only, and SCRAM checks a plain password beside it. Users who do not exist are asked
// as most are.
bool Login::can_do_md5() const {
  if (secrets_.empty() || secrets_.front().kind() == auth::Secret::Kind::kMd5) return true;
  return std::ranges::none_of(
      secrets_, [](const auth::Secret& secret) { return secret.kind() == auth::Secret::Kind::kScram; });
}

io::Task<base::Status> Login::authenticate_scram() {
  takes_turns_ = auth::LoginVerifiers::turns(secrets_) > 1;
  const LoginBans::Policy policy = ban_policy();
  const std::string tenant = counted_tenant_;
  const std::string user = outcome_.identity.user;
  const std::string site = LoginBans::site_of(client_address());
  const VerifierTurns::Source source{.tenant = tenant, .user = user, .site = site};
  const VerifierTurns::Limit limit{
      .failures = LoginBans::spares(client_address(), policy) ? 0 : policy.failures, .window = policy.window};
  const std::size_t turn = takes_turns_ ? home_.verifier_turns.turn_of(source) : 0;
  const auth::ScramVerifier asked =
      home_.login_verifiers.challenge({.secrets = secrets_,
                                       .user = face_,
                                       .turn = turn,
                                       .iterations = instructions_.settings->scram_iterations});
  auth::ScramServer::Options options{.on_tls = tls_stream() != nullptr};
  if (options.on_tls) options.channel_binding = tls_stream()->engine().channel_binding();
  auth::ScramServer scram(asked, home_.loop.random(), std::move(options));
  if (auto shown = co_await scram_exchange(scram); !shown) co_return shown;

  std::string last;
  Fits fits = [&](const auth::Secret& secret) {
    if (takes_turns_ && !home_.verifier_turns.may_guess(source, turn, limit, home_.loop.now()))
      return Fit::kNo;
    if (secret.kind() == auth::Secret::Kind::kMd5) {
      (void)scram.check(asked);  // as much work as for the others
      return Fit::kCannotTell;
    }
    const auto verifier = home_.login_verifiers.verifier(secret, asked);
    auto answer = verifier ? scram.check(*verifier) : base::fail(base::kInvalidPassword, "");
    if (!answer) return Fit::kNo;
    last = std::move(*answer);
    if (secret.kind() == auth::Secret::Kind::kScram) keys_ = scram.keys();
    return Fit::kYes;
  };
  if (secrets_.empty()) (void)scram.check(asked);  // as much work as for those who exist
  auto status = co_await check_proof(std::move(fits));
  if (takes_turns_ && status) home_.verifier_turns.succeeded(source, turn);
  const bool is_refused = !status && status.error().sqlstate == base::kInvalidPassword;
  if (takes_turns_ && is_refused && home_.verifier_turns.failed(source, turn, limit, home_.loop.now())) {
    note_wrong_password();
  }
  if (!status) co_return status;
  base::ByteWriter done;
  pgwire::authentication_sasl_final(done, last);
  send(done);
  co_return base::Status{};
}

// Up to the client's proof.
io::Task<base::Status> Login::scram_exchange(auth::ScramServer& scram) {
  base::ByteWriter out;
  pgwire::authentication_sasl(out, scram.mechanisms());
  send(out);

  auto message = co_await client_answer();
  if (!message) co_return base::fail(std::move(message.error()));
  if (message->type != pgwire::msg::kPassword) {
    co_return base::fail(base::kProtocolViolation,
                         fmt::format("expected SASL response, got message type {}", message->type));
  }
  auto initial = pgwire::parse_sasl_initial_response(message->body);
  if (!initial) co_return base::fail(std::move(initial.error()));
  std::string mechanism(initial->mechanism);
  std::string client_first;
  if (initial->data.has_value()) {
    client_first = *initial->data;
  } else {
    base::ByteWriter empty;
    pgwire::authentication_sasl_continue(empty, "");
    send(empty);
    auto second = co_await client_answer();
    if (!second) co_return base::fail(std::move(second.error()));
    client_first = pgwire::parse_sasl_response(second->body);
  }
  auto challenge = scram.first(mechanism, client_first);
  if (!challenge) co_return base::fail(std::move(challenge.error()));
  base::ByteWriter next;
  pgwire::authentication_sasl_continue(next, *challenge);
  send(next);

  auto proof = co_await client_answer();
  if (!proof) co_return base::fail(std::move(proof.error()));
  if (proof->type != pgwire::msg::kPassword) {
    co_return base::fail(base::kProtocolViolation,
                         fmt::format("expected SASL response, got message type {}", proof->type));
  }
  co_return scram.read_proof(pgwire::parse_sasl_response(proof->body));
}

io::Task<base::Status> Login::authenticate_md5() {
  std::array<std::uint8_t, 4> salt{};
  home_.loop.random().fill(salt);
  base::ByteWriter out;
  pgwire::authentication_md5(out, salt);
  send(out);
  auto message = co_await client_answer();
  if (!message) co_return base::fail(std::move(message.error()));
  auto response = pgwire::parse_password(message->body);
  if (message->type != pgwire::msg::kPassword || !response) {
    co_return base::fail(base::kProtocolViolation, "expected password response");
  }
  const std::string given(*response);
  std::optional<base::Error> impossible;
  Fits fits = [&](const auth::Secret& secret) {
    if (secret.kind() == auth::Secret::Kind::kScram) return Fit::kCannotTell;
    auto matches = auth::md5_matches(secret, stated_user_, salt, given);
    if (!matches) {
      impossible = std::move(matches.error());
      return Fit::kCannotTell;
    }
    return *matches ? Fit::kYes : Fit::kNo;
  };
  auto status = co_await check_proof(std::move(fits));
  if (!status && impossible.has_value()) co_return base::fail(std::move(*impossible));
  co_return status;
}

io::Task<base::Status> Login::authenticate_password() {
  if (tls_stream() == nullptr && !instructions_.settings->allow_cleartext_without_tls &&
      !reader_->stream().peer().is_unix()) {
    co_return base::fail(base::kInvalidAuthorization, "passwords in the clear are accepted over TLS only", "",
                         "Connect with sslmode=require, or set auth.allow_cleartext_without_tls.");
  }
  base::ByteWriter out;
  pgwire::authentication_cleartext(out);
  send(out);
  auto message = co_await client_answer();
  if (!message) co_return base::fail(std::move(message.error()));
  if (message->type != pgwire::msg::kPassword)
    co_return base::fail(base::kProtocolViolation, "expected password response");
  auto password = pgwire::parse_password(message->body);
  if (!password) co_return base::fail(std::move(password.error()));
  const auth::WipedText given(*password);
  Fits fits = [&](const auth::Secret& secret) {
    const bool matches =
        auth::password_matches(secret, outcome_.identity.user, given.view(), home_.tools.scram_keys);
    return matches ? Fit::kYes : Fit::kNo;
  };
  co_return co_await check_proof(std::move(fits));
}

base::Status Login::authenticate_certificate() {
  const auto* stream = tls_stream();
  const auto certificate = stream == nullptr ? std::nullopt : stream->engine().peer_certificate();
  if (user_ != nullptr) {
    private_reason_ = certificate.has_value()
                          ? fmt::format("the certificate is for \"{}\"", certificate->common_name)
                          : "the client showed no certificate";
  }
  if (user_ == nullptr || !certificate.has_value() || certificate->common_name != outcome_.identity.user) {
    return base::fail(
        base::kInvalidAuthorization,
        fmt::format("certificate authentication failed for user \"{}\"", outcome_.identity.user));
  }
  return {};
}

base::Status Login::authenticate_peer() {
  const io::PeerName& peer = reader_->stream().peer();
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer;
  if (peer.uid >= 0) getpwuid_r(static_cast<uid_t>(peer.uid), &entry, buffer.data(), buffer.size(), &found);
  if (user_ == nullptr || found == nullptr || outcome_.identity.user != found->pw_name) {
    if (user_ != nullptr) {
      private_reason_ = peer.uid < 0       ? "the client is not on a Unix socket"
                        : found == nullptr ? fmt::format("uid {} has no name", peer.uid)
                                           : fmt::format("the system's user is \"{}\"", found->pw_name);
    }
    return base::fail(base::kInvalidAuthorization,
                      fmt::format("peer authentication failed for user \"{}\"", outcome_.identity.user));
  }
  return {};
}

}  // namespace penstock::session
