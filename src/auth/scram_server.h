// ScramServer checks that a client knows a password, without learning it: our side of SCRAM-SHA-256(-PLUS).
//
// Table:      state      event    next
//             kStart     first()  kChallenged, or kFailed
//             kChallenged read_proof()  kAnswered, or kFailed
//             kAnswered  check()  kProven; or kAnswered: another verifier may fit
//
// Source: RFC 5802, 7677, 5929; where they leave a choice, PostgreSQL (src/backend/libpq/auth-scram.c):
// authorization identities are refused, the user name inside SCRAM is ignored, the error words are the same.
//
// Owner:      the login of one client, by value.
// Home:       LOOP (cheap: a few hashes; key derivation happens only where a verifier is made).
// Invariants: 1. Iterations and salt are those of the verifier, never our own.
//             2. The nonce is fresh, so a recorded answer never fits.
// Errors:     kProtocolViolation (malformed, out of order), kFeatureNotSupported, kInvalidAuthorization
//             (channel binding), kInvalidPassword: the proof is wrong; the caller words it: password
//             authentication failed for user "x".
// Bounds:     messages of kScramMessageMax bytes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/scram_keys.h"
#include "auth/secret.h"
#include "base/error.h"
#include "base/random.h"

namespace penstock::auth {

class ScramServer {
 public:
  struct Options {
    bool on_tls = false;
    // The tls-server-end-point hash of our certificate; empty: none to be had, -PLUS is not offered.
    std::string channel_binding = {};
  };

  // The client is challenged with the verifier's salt and iterations.
  ScramServer(ScramVerifier verifier, base::Random& random, Options options);

  // What to offer, in this order.
  std::vector<std::string_view> mechanisms() const;

  // Takes the client's choice and first message; the result goes out as AuthenticationSASLContinue. (A client
  // that sends no initial response at all, length -1, gets an empty AuthenticationSASLContinue first.)
  base::Result<std::string> first(std::string_view mechanism, std::string_view client_first);
  // Takes the proof, for check().
  base::Status read_proof(std::string_view client_final);
  // Whether the proof shows the password of this verifier, which has the challenge's salt and iterations; the result
  // goes out as AuthenticationSASLFinal.
  base::Result<std::string> check(const ScramVerifier& verifier);
  // Both, with the verifier of the challenge.
  base::Result<std::string> final(std::string_view client_final);

  // After check() succeeded: the keys that log in to a server with the same verifier. Secret, like a
  // password.
  const ScramKeys& keys() const;

 private:
  enum class State { kStart, kChallenged, kAnswered, kProven, kFailed };

  base::Result<std::string> read_first(std::string_view message);
  base::Result<std::string_view> read_gs2_header(std::string_view message);
  base::Result<std::string_view> read_binding_type(std::string_view message);
  base::Status read_final(std::string_view message);
  base::Status check_binding(std::string_view encoded) const;
  bool proof_holds(const ScramVerifier& verifier);

  ScramVerifier verifier_;
  base::Random& random_;
  Options options_;
  State state_ = State::kStart;
  bool plus_ = false;
  std::string gs2_header_;
  std::string client_first_bare_;
  std::string server_first_;
  std::string nonce_;                       // the client's part, then ours
  std::string client_final_without_proof_;  // what both sides sign, with the two messages above
  std::string proof_;
  ScramKeys keys_;
};

// Tells what ScramServer should ask and check for this user, so that an outsider cannot see whether the user exists.
//
// Users without a verifier (none at all, a plain password, an md5 one) get a salt that depends on the name and a secret
// of ours alone: the same at every attempt, as a stored verifier would give. Keys are derived from plain passwords only
// once there is a proof to check: how long the challenge takes tells nothing.
//
// While a password is being changed there are two secrets. One challenge has one salt: plain passwords are derived
// under any, but of two verifiers with different salts only one can be checked. They take turns.
class LoginVerifiers {
 public:
  LoginVerifiers(const Key& salt_secret, ScramKeyCache& cache) : salt_secret_(salt_secret), cache_(cache) {}

  struct Wish {
    std::span<const Secret> secrets = {};  // newest first; empty: there is no such user
    std::string_view user = {};            // with the tenant
    std::size_t turn = 0;
    int iterations = kScramIterations;  // where no verifier says: the setting scram_iterations
  };
  // Nobody's verifier, with the salt and the iterations to ask with.
  ScramVerifier challenge(const Wish& wish) const;
  // How many challenges it takes to check all secrets.
  static std::size_t turns(std::span<const Secret> secrets);
  // What `secret` comes down to under a challenge's salt and iterations; nothing: it cannot be checked so.
  std::optional<ScramVerifier> verifier(const Secret& secret, const ScramVerifier& challenge);

 private:
  Key salt_secret_;
  ScramKeyCache& cache_;
};

}  // namespace penstock::auth
