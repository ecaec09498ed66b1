#include "auth/scram_server.h"

#include <algorithm>
#include <array>
#include <utility>

#include "auth/crypto.h"
#include "auth/scram_message.h"
#include "base/assert.h"

namespace penstock::auth {

namespace {

constexpr std::size_t kSaltBytes = 16;

}  // namespace

ScramServer::ScramServer(ScramVerifier verifier, base::Random& random, Options options)
    : verifier_(std::move(verifier)), random_(random), options_(std::move(options)) {}

std::vector<std::string_view> ScramServer::mechanisms() const {
  if (options_.on_tls && !options_.channel_binding.empty()) return {kScramSha256Plus, kScramSha256};
  return {kScramSha256};
}

base::Result<std::string> ScramServer::first(std::string_view mechanism, std::string_view client_first) {
  if (std::exchange(state_, State::kFailed) != State::kStart) return out_of_order();
  const bool binding_offered = mechanisms().size() == 2;
  if (mechanism == kScramSha256Plus && binding_offered) {
    plus_ = true;
  } else if (mechanism != kScramSha256) {
    return base::fail(base::kProtocolViolation, "client selected an invalid SASL authentication mechanism");
  }
  auto reply = read_first(client_first);
  if (reply) state_ = State::kChallenged;
  return reply;
}

base::Result<std::string> ScramServer::read_first(std::string_view message) {
  if (auto sound = check_message(message); !sound) return base::fail(sound.error());
  const auto bare = read_gs2_header(message);
  if (!bare) return base::fail(bare.error());
  if (bare->starts_with('m')) {
    return base::fail(base::kFeatureNotSupported, "client requires an unsupported SCRAM extension");
  }

  AttributeReader attributes(*bare);
  // The user is the one of the start-up message; this name is ignored, as in Postgres.
  if (auto user = attributes.expect('n'); !user) return base::fail(user.error());
  const auto client_nonce = attributes.expect('r');
  if (!client_nonce) return base::fail(client_nonce.error());
  if (!is_scram_printable(*client_nonce)) {
    return base::fail(base::kProtocolViolation, "non-printable characters in SCRAM nonce");
  }
  while (!attributes.at_end()) {
    if (auto extension = attributes.any(); !extension) return base::fail(extension.error());
  }

  std::array<std::uint8_t, kNonceBytes> fresh;
  random_.fill(fresh);
  nonce_ = std::string(*client_nonce) + base64_encode(fresh);
  client_first_bare_ = *bare;
  server_first_ = "r=" + nonce_ + ",s=" + base64_encode(base::as_bytes(verifier_.salt)) +
                  ",i=" + std::to_string(verifier_.iterations);
  return server_first_;
}

// Checks the flag and the authorization identity; returns what follows the header.
base::Result<std::string_view> ScramServer::read_gs2_header(std::string_view message) {
  std::string_view rest = message;
  switch (message.front()) {
    case 'y':  // the client could bind, but believes we cannot: somebody may have removed our offer
      if (!plus_ && mechanisms().size() == 2) {
        return base::fail(base::kInvalidAuthorization, "SCRAM channel binding negotiation error",
                          "The client supports SCRAM channel binding but thinks the server does not.  "
                          "However, this server does support channel binding.");
      }
      [[fallthrough]];
    case 'n':
      if (plus_) {
        return malformed(
            "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding "
            "data.");
      }
      rest.remove_prefix(1);
      break;
    case 'p': {
      const auto after = read_binding_type(message);
      if (!after) return after;
      rest = *after;
      break;
    }
    default:
      return malformed("Unexpected channel-binding flag \"" + shown(message) + "\".");
  }
  if (!rest.starts_with(',')) {
    return malformed("Comma expected, but found character \"" + shown(rest) + "\".");
  }
  rest.remove_prefix(1);
  if (rest.starts_with('a')) {
    return base::fail(base::kFeatureNotSupported,
                      "client uses authorization identity, but it is not supported");
  }
  if (!rest.starts_with(',')) {
    return malformed("Unexpected attribute \"" + shown(rest) + "\" in client-first-message.");
  }
  rest.remove_prefix(1);
  gs2_header_ = message.substr(0, message.size() - rest.size());
  return rest;
}

// "p=tls-server-end-point"; returns what follows, from the comma on.
base::Result<std::string_view> ScramServer::read_binding_type(std::string_view message) {
  if (!plus_) {
    return malformed(
        "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel "
        "binding "
        "data.");
  }
  const auto type = AttributeReader(message).expect('p');
  if (!type) return type;
  if (*type != kChannelBindingType) {
    const std::string name = is_scram_printable(*type) ? std::string(*type) : std::string();
    return base::fail(base::kProtocolViolation, "unsupported SCRAM channel-binding type \"" + name + "\"");
  }
  return message.substr(2 + type->size());
}

base::Status ScramServer::read_proof(std::string_view client_final) {
  if (std::exchange(state_, State::kFailed) != State::kChallenged) return out_of_order();
  auto read = read_final(client_final);
  if (read) state_ = State::kAnswered;
  return read;
}

base::Result<std::string> ScramServer::final(std::string_view client_final) {
  if (auto read = read_proof(client_final); !read) return base::fail(read.error());
  return check(verifier_);
}

base::Status ScramServer::read_final(std::string_view message) {
  if (auto sound = check_message(message); !sound) return base::fail(sound.error());
  AttributeReader attributes(message);
  const auto binding = attributes.expect('c');
  if (!binding) return base::fail(binding.error());
  if (auto bound = check_binding(*binding); !bound) return base::fail(bound.error());
  const auto nonce = attributes.expect('r');
  if (!nonce) return base::fail(nonce.error());

  AttributeReader::Attribute last{};
  while (last.name != 'p') {
    const auto attribute = attributes.any();
    if (!attribute) return base::fail(attribute.error());
    last = *attribute;
  }
  auto proof = base64_decode(last.value);
  if (!proof || proof->size() != Key::kSize) return malformed("Malformed proof in client-final-message.");
  if (!attributes.at_end()) return malformed("Garbage found at the end of client-final-message.");
  if (*nonce != nonce_) {
    return base::fail(base::kProtocolViolation, "invalid SCRAM response", "Nonce does not match.");
  }
  const std::size_t proof_size = 3 + last.value.size();  // ",p=" and the value
  client_final_without_proof_ = message.substr(0, message.size() - proof_size);
  proof_ = std::move(*proof);
  return {};
}

base::Result<std::string> ScramServer::check(const ScramVerifier& verifier) {
  if (state_ != State::kAnswered) return out_of_order();
  if (!proof_holds(verifier)) return base::fail(base::kInvalidPassword, "password authentication failed");
  state_ = State::kProven;
  const Key signature = hmac_sha256(
      verifier.server_key.view(), {client_first_bare_, ",", server_first_, ",", client_final_without_proof_});
  return "v=" + base64_encode(signature.view());
}

base::Status ScramServer::check_binding(std::string_view encoded) const {
  if (plus_) {
    const std::string expected = base64_encode(base::as_bytes(gs2_header_ + options_.channel_binding));
    if (encoded != expected) {
      return base::fail(base::kInvalidAuthorization, "SCRAM channel binding check failed");
    }
    return {};
  }
  if (encoded != base64_encode(base::as_bytes(gs2_header_))) {
    return base::fail(base::kProtocolViolation,
                      "unexpected SCRAM channel-binding attribute in client-final-message");
  }
  return {};
}

// StoredKey == H(ClientProof XOR HMAC(StoredKey, AuthMessage)); keeps the ClientKey found on the way.
bool ScramServer::proof_holds(const ScramVerifier& verifier) {
  const Key signature = hmac_sha256(
      verifier.stored_key.view(), {client_first_bare_, ",", server_first_, ",", client_final_without_proof_});
  Key client_key = Key::from(base::as_bytes(proof_));
  for (std::size_t i = 0; i < Key::kSize; ++i) client_key.data()[i] ^= signature.data()[i];
  if (!(sha256(client_key.view()) == verifier.stored_key)) return false;
  keys_ = ScramKeys{.client_key = client_key, .server_key = verifier.server_key};
  return true;
}

const ScramKeys& ScramServer::keys() const {
  PENSTOCK_ASSERT(state_ == State::kProven);
  return keys_;
}

namespace {

bool same_challenge(const ScramVerifier& a, const ScramVerifier& b) {
  return a.salt == b.salt && a.iterations == b.iterations;
}

// The verifiers among `secrets`, one for each challenge that they take.
std::vector<const ScramVerifier*> challenges_of(std::span<const Secret> secrets) {
  std::vector<const ScramVerifier*> distinct;
  for (const Secret& secret : secrets) {
    if (secret.kind() != Secret::Kind::kScram) continue;
    const ScramVerifier& verifier = secret.verifier();
    const auto same = [&](const ScramVerifier* other) { return same_challenge(*other, verifier); };
    if (std::ranges::none_of(distinct, same)) distinct.push_back(&verifier);
  }
  return distinct;
}

}  // namespace

ScramVerifier LoginVerifiers::challenge(const Wish& wish) const {
  const auto stored = challenges_of(wish.secrets);
  ScramVerifier nobodys{.iterations = wish.iterations,
                        .salt = {},
                        .stored_key = hmac_sha256(salt_secret_.view(), {"stored key:", wish.user}),
                        .server_key = hmac_sha256(salt_secret_.view(), {"server key:", wish.user})};
  if (!stored.empty()) {
    const ScramVerifier& one = *stored[wish.turn % stored.size()];
    nobodys.salt = one.salt;
    nobodys.iterations = one.iterations;
  } else {
    const Key salt = hmac_sha256(salt_secret_.view(), {"salt:", wish.user});
    nobodys.salt = base::as_text(salt.view()).substr(0, kSaltBytes);
  }
  return nobodys;
}

std::size_t LoginVerifiers::turns(std::span<const Secret> secrets) {
  return std::max<std::size_t>(1, challenges_of(secrets).size());
}

std::optional<ScramVerifier> LoginVerifiers::verifier(const Secret& secret, const ScramVerifier& challenge) {
  switch (secret.kind()) {
    case Secret::Kind::kScram:
      if (!same_challenge(secret.verifier(), challenge)) return std::nullopt;
      return secret.verifier();
    case Secret::Kind::kPlain:
      if (secret.plain().empty()) return std::nullopt;
      return cache_.keys(secret.plain(), challenge.salt, challenge.iterations)
          .verifier(challenge.salt, challenge.iterations);
    case Secret::Kind::kMd5:
      break;
  }
  return std::nullopt;
}

}  // namespace penstock::auth
