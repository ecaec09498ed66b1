// ScramServer checks that a client knows a password, without learning it: our side of SCRAM-SHA-256(-PLUS).
//
// Table:      state      event    next
//             kStart     first()  kChallenged, or kFailed
//             kChallenged final()  kProven, or kFailed
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
    // There is no such user (or no usable secret): go through the motions and fail at the end.
    bool doomed = false;
  };

  ScramServer(ScramVerifier verifier, base::Random& random, Options options);

  // What to offer, in this order.
  std::vector<std::string_view> mechanisms() const;

  // Takes the client's choice and first message; the result goes out as AuthenticationSASLContinue. (A client
  // that sends no initial response at all, length -1, gets an empty AuthenticationSASLContinue first.)
  base::Result<std::string> first(std::string_view mechanism, std::string_view client_first);
  // Takes the proof; the result goes out as AuthenticationSASLFinal.
  base::Result<std::string> final(std::string_view client_final);

  // After final() succeeded: the keys that log in to a server with the same verifier. Secret, like a
  // password.
  const ScramKeys& keys() const;

 private:
  enum class State { kStart, kChallenged, kProven, kFailed };

  base::Result<std::string> read_first(std::string_view message);
  base::Result<std::string_view> read_gs2_header(std::string_view message);
  base::Result<std::string_view> read_binding_type(std::string_view message);
  base::Result<std::string> read_final(std::string_view message);
  base::Status check_binding(std::string_view encoded) const;
  bool proof_holds(std::string_view proof, std::string_view without_proof);

  ScramVerifier verifier_;
  base::Random& random_;
  Options options_;
  State state_ = State::kStart;
  bool plus_ = false;
  std::string gs2_header_;
  std::string client_first_bare_;
  std::string server_first_;
  std::string nonce_;  // the client's part, then ours
  ScramKeys keys_;
};

// Tells what ScramServer should check for this user, so that an outsider cannot see whether the user exists.
//
// Users without a verifier (none at all, a plain password, an md5 one) get a salt that depends on the name
// and the process's secret alone: the same answer at every attempt, as a stored verifier would give.
class LoginVerifiers {
 public:
  LoginVerifiers(const Key& process_secret, ScramKeyCache& cache, int iterations = kScramIterations)
      : process_secret_(process_secret), cache_(cache), iterations_(iterations) {}

  struct Choice {
    ScramVerifier verifier;
    bool doomed = false;
  };
  // `secret` null: there is no such user.
  Choice choose(const Secret* secret, std::string_view user);

 private:
  Key process_secret_;
  ScramKeyCache& cache_;
  int iterations_;  // of verifiers that are not stored: the setting scram_iterations
};

}  // namespace penstock::auth
