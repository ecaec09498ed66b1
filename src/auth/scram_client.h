// ScramClient proves to a server that we know a password (or the keys it comes down to) and checks that the
// server knows it too: the other side of SCRAM-SHA-256(-PLUS).
//
// Table:      state      event      next
//             kStart     first()    kSent
//             kSent      respond()  kProofSent, or kFailed
//             kProofSent verify()   kVerified, or kFailed
//
// Source: RFC 5802, 7677, 5929; libpq's fe-auth-scram.c for choices and words.
//
// Owner:      the login of one upstream, by value.
// Home:       any thread, one at a time. respond() may derive keys (0.1 µs per iteration on a miss of the
//             cache): with a server that asks for hundreds of thousands of iterations, run it on an offload
//             thread.
// Invariants: after verify() succeeded the server has proven that it knows the password's verifier.
// Errors:     kProtocolViolation (malformed, out of order), kInvalidAuthorization (binding policy, server
//             signature, iterations).
// Bounds:     messages of kScramMessageMax bytes; kIterationsMax iterations, or a server could stall us for
//             minutes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "auth/scram_keys.h"
#include "auth/wiped.h"
#include "base/error.h"
#include "base/random.h"

namespace penstock::auth {

// libpq's channel_binding.
enum class ChannelBinding { kDisable, kPrefer, kRequire };

// What a ScramClient logs in with: a password, or the keys that a client's own login has shown us.
using ScramCredential = std::variant<WipedText, ScramKeys>;

class ScramClient {
 public:
  static constexpr int kIterationsMax = 5'000'000;

  struct Options {
    bool on_tls = false;
    std::string channel_binding =
        {};  // tls-server-end-point hash of the server's certificate; empty: unknown
    ChannelBinding policy = ChannelBinding::kPrefer;
  };

  // Chooses among the mechanisms the server offers.
  static base::Result<ScramClient> choose(std::span<const std::string_view> offered,
                                          ScramCredential credential, base::Random& random,
                                          ScramKeyCache& cache, Options options);

  // What goes into SASLInitialResponse.
  std::string_view mechanism() const;
  std::string first();
  // Takes AuthenticationSASLContinue, gives SASLResponse.
  base::Result<std::string> respond(std::string_view server_first);
  // Takes AuthenticationSASLFinal.
  base::Status verify(std::string_view server_final);
  // Whether the server has proven itself; an AuthenticationOk before that is a fraud.
  bool verified() const { return state_ == State::kVerified; }

 private:
  enum class State { kStart, kSent, kProofSent, kVerified, kFailed };
  struct Challenge;

  ScramClient(bool plus, ScramCredential credential, base::Random& random, ScramKeyCache& cache,
              Options options);
  base::Result<Challenge> read_challenge(std::string_view server_first) const;
  ScramKeys keys_for(const Challenge& challenge);

  bool plus_;
  ScramCredential credential_;
  base::Random* random_;
  ScramKeyCache* cache_;
  Options options_;
  State state_ = State::kStart;
  std::string gs2_header_;
  std::string nonce_;
  std::string first_bare_;
  Key server_signature_;  // what the server must answer
};

}  // namespace penstock::auth
