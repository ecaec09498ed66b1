#include "auth/scram_client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "auth/crypto.h"
#include "auth/scram_message.h"
#include "base/assert.h"

namespace penstock::auth {

struct ScramClient::Challenge {
  std::string_view nonce;
  std::string salt;
  int iterations = 0;
};

base::Result<ScramClient> ScramClient::choose(std::span<const std::string_view> offered,
                                              ScramCredential credential, base::Random& random,
                                              ScramKeyCache& cache, Options options) {
  const bool plain_offered = std::ranges::find(offered, kScramSha256) != offered.end();
  const bool plus_offered = std::ranges::find(offered, kScramSha256Plus) != offered.end();
  if (plus_offered && !options.on_tls) {
    return base::fail(base::kInvalidAuthorization,
                      "server offered SCRAM-SHA-256-PLUS authentication over a non-TLS connection");
  }
  const bool can_bind = options.on_tls && !options.channel_binding.empty();
  const bool plus = plus_offered && can_bind && options.policy != ChannelBinding::kDisable;
  if (options.policy == ChannelBinding::kRequire && !plus) {
    return base::fail(base::kInvalidAuthorization,
                      can_bind
                          ? "channel binding is required, but server did not offer an authentication method "
                            "that supports channel binding"
                          : "channel binding is required, but the connection has none to offer");
  }
  if (!plus && !plain_offered) {
    return base::fail(base::kFeatureNotSupported,
                      "none of the server's SASL authentication mechanisms are supported");
  }
  return ScramClient(plus, std::move(credential), random, cache, std::move(options));
}

ScramClient::ScramClient(bool plus, ScramCredential credential, base::Random& random, ScramKeyCache& cache,
                         Options options)
    : plus_(plus),
      credential_(std::move(credential)),
      random_(&random),
      cache_(&cache),
      options_(std::move(options)) {
  // 'y' tells the server that we could bind; it then notices when somebody has removed its offer.
  const bool could_bind =
      options_.on_tls && !options_.channel_binding.empty() && options_.policy != ChannelBinding::kDisable;
  gs2_header_ = plus_ ? "p=" + std::string(kChannelBindingType) + ",," : could_bind ? "y,," : "n,,";
}

std::string_view ScramClient::mechanism() const {
  return plus_ ? kScramSha256Plus : kScramSha256;
}

std::string ScramClient::first() {
  PENSTOCK_ASSERT(state_ == State::kStart);
  state_ = State::kSent;
  std::array<std::uint8_t, kNonceBytes> fresh;
  random_->fill(fresh);
  nonce_ = base64_encode(fresh);
  first_bare_ = "n=,r=" + nonce_;  // the user's name went with the start-up message
  return gs2_header_ + first_bare_;
}

base::Result<std::string> ScramClient::respond(std::string_view server_first) {
  if (std::exchange(state_, State::kFailed) != State::kSent) return out_of_order();
  const auto challenge = read_challenge(server_first);
  if (!challenge) return base::fail(challenge.error());

  const std::string binding = plus_ ? gs2_header_ + options_.channel_binding : gs2_header_;
  std::string answer = "c=" + base64_encode(base::as_bytes(binding)) + ",r=" + std::string(challenge->nonce);
  const ScramKeys keys = keys_for(*challenge);
  const Key signature = hmac_sha256(keys.stored_key().view(), {first_bare_, ",", server_first, ",", answer});
  server_signature_ = hmac_sha256(keys.server_key.view(), {first_bare_, ",", server_first, ",", answer});
  Key proof = keys.client_key;
  for (std::size_t i = 0; i < Key::kSize; ++i) proof.data()[i] ^= signature.data()[i];
  state_ = State::kProofSent;
  return answer + ",p=" + base64_encode(proof.view());
}

base::Result<ScramClient::Challenge> ScramClient::read_challenge(std::string_view server_first) const {
  if (auto sound = check_message(server_first); !sound) return base::fail(sound.error());
  AttributeReader attributes(server_first);
  const auto nonce = attributes.expect('r');
  if (!nonce) return base::fail(nonce.error());
  if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size() || !is_scram_printable(*nonce)) {
    return base::fail(base::kProtocolViolation, "invalid SCRAM response (nonce mismatch)");
  }
  const auto salt_text = attributes.expect('s');
  if (!salt_text) return base::fail(salt_text.error());
  auto salt = base64_decode(*salt_text);
  if (!salt || salt->empty()) return malformed("Invalid salt.");
  const auto iterations_text = attributes.expect('i');
  if (!iterations_text) return base::fail(iterations_text.error());
  int iterations = 0;
  const char* const text_end = iterations_text->data() + iterations_text->size();
  const auto [end, error] = std::from_chars(iterations_text->data(), text_end, iterations);
  if (error != std::errc() || end != text_end || iterations < 1) return malformed("Invalid iteration count.");
  if (iterations > kIterationsMax) {
    return base::fail(base::kInvalidAuthorization,
                      "server asks for " + std::to_string(iterations) + " SCRAM iterations",
                      "At most " + std::to_string(kIterationsMax) + " are accepted.");
  }
  if (!attributes.at_end()) return malformed("Garbage at end of server-first-message.");
  return Challenge{.nonce = *nonce, .salt = std::move(*salt), .iterations = iterations};
}

ScramKeys ScramClient::keys_for(const Challenge& challenge) {
  if (const auto* keys = std::get_if<ScramKeys>(&credential_)) return *keys;
  return cache_->keys(std::get<WipedText>(credential_).view(), challenge.salt, challenge.iterations);
}

base::Status ScramClient::verify(std::string_view server_final) {
  if (std::exchange(state_, State::kFailed) != State::kProofSent) return out_of_order();
  if (auto sound = check_message(server_final); !sound) return sound;
  AttributeReader attributes(server_final);
  if (server_final.starts_with('e')) {
    const auto error = attributes.expect('e');
    if (!error) return base::fail(error.error());
    const std::string reason = is_scram_printable(*error) ? std::string(*error) : "(not printable)";
    return base::fail(base::kInvalidAuthorization, "error received from server in SCRAM exchange: " + reason);
  }
  const auto encoded = attributes.expect('v');
  if (!encoded) return base::fail(encoded.error());
  const auto signature = base64_decode(*encoded);
  if (!signature || signature->size() != Key::kSize) return malformed("Invalid server signature.");
  if (!attributes.at_end()) return malformed("Garbage at end of server-final-message.");
  if (!equal_in_constant_time(*signature, base::as_text(server_signature_.view()))) {
    return base::fail(base::kInvalidAuthorization, "incorrect server signature",
                      "The server does not know the password: it is not the one we were meant to reach.");
  }
  state_ = State::kVerified;
  return {};
}

}  // namespace penstock::auth
