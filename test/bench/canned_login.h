// CannedLogin takes a client of the canned server from its first byte to the first ReadyForQuery.
//
// Owner: CannedSession, by value. Home: LOOP.
//
//   state      | message               | next
//   kStartup   | SSLRequest, GSSENC    | kStartup (answered 'N')
//   kStartup   | CancelRequest         | kClosed
//   kStartup   | StartupMessage        | kDone (trust), kMd5, kSaslFirst
//   kMd5       | 'p'                   | kDone or kClosed
//   kSaslFirst | 'p'                   | kSaslFinal or kClosed
//   kSaslFinal | 'p'                   | kDone or kClosed
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "canned_host.h"
#include "canned_settings.h"
#include "scram.h"
#include "wire.h"

namespace penstock::bench {

class CannedLogin {
 public:
  CannedLogin(CannedHost& host, CannedSettings& settings, std::uint32_t pid, std::uint32_t secret)
      : host_(host), settings_(settings), pid_(pid), secret_(secret) {}

  bool expects_startup() const { return state_ == State::kStartup; }
  bool done() const { return state_ == State::kDone; }
  bool failed() const { return state_ == State::kClosed; }
  bool secret_is(std::uint32_t secret) const { return secret == secret_; }

  void on_startup(std::string_view body);
  void on_password(std::string_view body);

 private:
  enum class State { kStartup, kMd5, kSaslFirst, kSaslFinal, kClosed, kDone };

  void read_parameters(Fields fields);
  void ask();
  void welcome();
  void refuse();
  void send_auth(std::uint32_t code, std::string_view payload);

  CannedHost& host_;
  CannedSettings& settings_;
  std::uint32_t pid_;
  std::uint32_t secret_;
  State state_ = State::kStartup;
  std::string user_;
  ScramServer scram_;
};

}  // namespace penstock::bench
