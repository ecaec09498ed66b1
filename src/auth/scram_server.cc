#include "auth/scram_server.h"

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

base::Result<std::string> ScramServer::final(std::string_view client_final) {
  if (std::exchange(state_, State::kFailed) != State::kChallenged) return out_of_order();
  auto reply = read_final(client_final);
  if (reply) state_ = State::kProven;
  return reply;
}

base::Result<std::string> ScramServer::read_final(std::string_view message) {
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
  const auto proof = base64_decode(last.value);
  if (!proof || proof->size() != Key::kSize) return malformed("Malformed proof in client-final-message.");
  if (!attributes.at_end()) return malformed("Garbage found at the end of client-final-message.");
  if (*nonce != nonce_) {
    return base::fail(base::kProtocolViolation, "invalid SCRAM response", "Nonce does not match.");
  }

  const std::size_t proof_size = 3 + last.value.size();  // ",p=" and the value
  if (!proof_holds(*proof, message.substr(0, message.size() - proof_size)) || options_.doomed) {
    return base::fail(base::kInvalidPassword, "password authentication failed");
  }
  const Key signature = hmac_sha256(
      verifier_.server_key.view(),
      {client_first_bare_, ",", server_first_, ",", message.substr(0, message.size() - proof_size)});
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
bool ScramServer::proof_holds(std::string_view proof, std::string_view without_proof) {
  const Key signature =
      hmac_sha256(verifier_.stored_key.view(), {client_first_bare_, ",", server_first_, ",", without_proof});
  Key client_key = Key::from(base::as_bytes(proof));
  for (std::size_t i = 0; i < Key::kSize; ++i) client_key.data()[i] ^= signature.data()[i];
  if (!(sha256(client_key.view()) == verifier_.stored_key)) return false;
  keys_ = ScramKeys{.client_key = client_key, .server_key = verifier_.server_key};
  return true;
}

const ScramKeys& ScramServer::keys() const {
  PENSTOCK_ASSERT(state_ == State::kProven);
  return keys_;
}

LoginVerifiers::Choice LoginVerifiers::choose(const Secret* secret, std::string_view user) {
  if (secret != nullptr && secret->kind() == Secret::Kind::kScram) return {.verifier = secret->verifier()};
  const Key salt_key = hmac_sha256(process_secret_.view(), {"salt:", user});
  const std::string salt(base::as_text(salt_key.view()).substr(0, kSaltBytes));
  if (secret != nullptr && secret->kind() == Secret::Kind::kPlain && !secret->plain().empty()) {
    return {.verifier = cache_.keys(secret->plain(), salt, iterations_).verifier(salt, iterations_)};
  }
  return {.verifier = {.iterations = iterations_,
                       .salt = salt,
                       .stored_key = hmac_sha256(process_secret_.view(), {"stored key:", user}),
                       .server_key = hmac_sha256(process_secret_.view(), {"server key:", user})},
          .doomed = true};
}

}  // namespace penstock::auth
