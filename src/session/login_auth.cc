// The log-in's question "who is it": one function for each way to prove it.
#include <fmt/format.h>
#include <pwd.h>  // HOUSE(syscall): peer authentication means the system's own user names

#include <array>

#include "auth/md5.h"
#include "pgwire/backend.h"
#include "pgwire/constants.h"
#include "pgwire/frontend.h"
#include "session/auth_query.h"
#include "session/login.h"

namespace penstock::session {

// From the catalog, or for users and secrets that it does not hold, from the server.
io::Task<base::Result<std::optional<auth::Secret>>> Login::find_secret() {
  if (user_ != nullptr && user_->secret.has_value()) co_return auth::Secret::parse(*user_->secret);
  if (resolved_.tenant->auth_query.empty()) co_return std::nullopt;
  if (user_ == nullptr && resolved_.tenant->require_user) co_return std::nullopt;
  auto text = co_await home_.auth_query.read(home_, resolved_.tenant, outcome_.identity.user,
                                             outcome_.identity.database, deadline_);
  if (!text) co_return base::fail(std::move(text.error()));
  secret_was_queried_ = true;
  if (!text->has_value()) co_return std::nullopt;
  co_return auth::Secret::parse(**text);
}

// Whether the server has another secret than the one that did not fit.
io::Task<base::Result<bool>> Login::read_secret_again() {
  if (!secret_was_queried_) co_return false;
  home_.auth_query.doubt(*resolved_.tenant, outcome_.identity.user);
  auto secret = co_await find_secret();
  if (!secret) co_return base::fail(std::move(secret.error()));
  const bool changed =
      secret->has_value() && (!secret_.has_value() || (*secret)->to_string() != secret_->to_string());
  if (changed) secret_ = std::move(*secret);
  co_return changed;
}

io::Task<base::Status> Login::authenticate() {
  auto secret = co_await find_secret();
  if (!secret) co_return base::fail(std::move(secret.error()));
  secret_ = std::move(*secret);
  const auth::Secret* known = secret_.has_value() ? &*secret_ : nullptr;
  const model::AuthMethod method = user_ != nullptr && user_->auth_method.has_value()
                                       ? *user_->auth_method
                                       : resolved_.tenant->auth_method;
  if (known == nullptr)
    private_reason_ = user_ == nullptr ? "there is no such user" : "the user has no secret";
  base::Status status;
  switch (method) {
    case model::AuthMethod::kTrust:
      if (user_ == nullptr) status = std::unexpected(wrong_password());
      break;
    case model::AuthMethod::kMd5:
      if (known != nullptr && known->kind() != auth::Secret::Kind::kScram) {
        status = co_await authenticate_md5(*known);
      } else {
        status = co_await authenticate_scram(known);
      }
      break;
    case model::AuthMethod::kPassword:
      status = co_await authenticate_password(known);
      break;
    case model::AuthMethod::kCertificate:
      status = authenticate_certificate();
      break;
    case model::AuthMethod::kPeer:
      status = authenticate_peer();
      break;
    case model::AuthMethod::kScram:
      status = co_await authenticate_scram(known);
      break;
  }
  if (status && method != model::AuthMethod::kCertificate && tls_stream() != nullptr &&
      instructions_.settings->client_tls_mode == model::TlsMode::kVerifyFull) {
    status = authenticate_certificate();  // verify-full: the certificate must be the user's, too
  }
  if (!status && secret_was_queried_) home_.auth_query.doubt(*resolved_.tenant, outcome_.identity.user);
  if (!status) co_return status;
  private_reason_.clear();  // what fails from here on has other reasons
  base::ByteWriter out;
  pgwire::authentication_ok(out);
  send(out);
  co_return base::Status{};
}

io::Task<base::Status> Login::authenticate_scram(const auth::Secret* secret) {
  auto choice = home_.login_verifiers.choose(secret, outcome_.identity.user);
  auth::ScramServer::Options options{.on_tls = tls_stream() != nullptr, .doomed = choice.doomed};
  if (options.on_tls) options.channel_binding = tls_stream()->engine().channel_binding();
  auth::ScramServer scram(std::move(choice.verifier), home_.loop.random(), std::move(options));
  base::ByteWriter out;
  pgwire::authentication_sasl(out, scram.mechanisms());
  send(out);

  auto message = co_await reader_->message(deadline_);
  co_await home_.login_pace.step();
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
    auto second = co_await reader_->message(deadline_);
    co_await home_.login_pace.step();
    if (!second) co_return base::fail(std::move(second.error()));
    client_first = pgwire::parse_sasl_response(second->body);
  }
  auto challenge = scram.first(mechanism, client_first);
  if (!challenge) co_return base::fail(std::move(challenge.error()));
  base::ByteWriter next;
  pgwire::authentication_sasl_continue(next, *challenge);
  send(next);

  auto proof = co_await reader_->message(deadline_);
  co_await home_.login_pace.step();
  if (!proof) co_return base::fail(std::move(proof.error()));
  if (proof->type != pgwire::msg::kPassword) {
    co_return base::fail(base::kProtocolViolation,
                         fmt::format("expected SASL response, got message type {}", proof->type));
  }
  auto last = scram.final(pgwire::parse_sasl_response(proof->body));
  if (!last) {
    if (last.error().sqlstate == base::kInvalidPassword) co_return base::fail(wrong_password());
    co_return base::fail(std::move(last.error()));
  }
  if (secret != nullptr && secret->kind() == auth::Secret::Kind::kScram) keys_ = scram.keys();
  base::ByteWriter done;
  pgwire::authentication_sasl_final(done, *last);
  send(done);
  co_return base::Status{};
}

io::Task<base::Status> Login::authenticate_md5(const auth::Secret& secret) {
  std::array<std::uint8_t, 4> salt{};
  home_.loop.random().fill(salt);
  base::ByteWriter out;
  pgwire::authentication_md5(out, salt);
  send(out);
  auto message = co_await reader_->message(deadline_);
  co_await home_.login_pace.step();
  if (!message) co_return base::fail(std::move(message.error()));
  auto response = pgwire::parse_password(message->body);
  if (message->type != pgwire::msg::kPassword || !response) {
    co_return base::fail(base::kProtocolViolation, "expected password response");
  }
  auto matches = auth::md5_matches(secret, stated_user_, salt, *response);
  if (matches && !*matches) {
    const auto changed = co_await read_secret_again();
    if (!changed) co_return base::fail(changed.error());
    if (*changed) matches = auth::md5_matches(*secret_, stated_user_, salt, *response);
  }
  if (!matches) co_return base::fail(matches.error());
  if (!*matches) co_return base::fail(wrong_password());
  co_return base::Status{};
}

io::Task<base::Status> Login::authenticate_password(const auth::Secret* secret) {
  if (tls_stream() == nullptr && !instructions_.settings->allow_cleartext_without_tls &&
      !reader_->stream().peer().is_unix()) {
    co_return base::fail(base::kInvalidAuthorization, "passwords in the clear are accepted over TLS only", "",
                         "Connect with sslmode=require, or set auth.allow_cleartext_without_tls.");
  }
  base::ByteWriter out;
  pgwire::authentication_cleartext(out);
  send(out);
  auto message = co_await reader_->message(deadline_);
  co_await home_.login_pace.step();
  if (!message) co_return base::fail(std::move(message.error()));
  if (message->type != pgwire::msg::kPassword)
    co_return base::fail(base::kProtocolViolation, "expected password response");
  auto password = pgwire::parse_password(message->body);
  if (!password) co_return base::fail(std::move(password.error()));
  const auto matches = [&](const auth::Secret& candidate) {
    return auth::password_matches(candidate, outcome_.identity.user, *password, home_.tools.scram_keys);
  };
  if (secret != nullptr && matches(*secret)) co_return base::Status{};
  const auto changed = co_await read_secret_again();
  if (!changed) co_return base::fail(changed.error());
  if (*changed && matches(*secret_)) co_return base::Status{};
  co_return base::fail(wrong_password());
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
