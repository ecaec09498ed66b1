// Peer is one connection of a load-test client: it opens it, logs in, plays scripts and checks the answers.
//
// Owner:      Actor, by value.
// Home:       LOOP
// Invariants: 1. is_open() is false after anything but kGood and kFailed.
// Waits:      every step at most LoadPlan::stuck_after; longer is a violation.
// Errors:     as an Outcome; violations go to the Tally.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/task.h"
#include "load_loop.h"
#include "scram.h"
#include "script.h"
#include "tally.h"
#include "wire.h"

namespace penstock::load {

template <class T = void>
using Task = io::Task<T>;

enum class Outcome {
  kGood,
  kFailed,  // the server reported an error; the connection goes on
  kLost,    // the connection has ended
  kWrong,   // an answer was not that of the question, or none came
};

class Peer {
 public:
  using Parameters = std::map<std::string, std::string, std::less<>>;

  Peer(LoadLoop& loop, const LoadPlan& plan, Tally& tally, bench::ScramKeyCache& keys, std::string name)
      : loop_(loop), plan_(plan), tally_(tally), keys_(keys), name_(std::move(name)) {}

  Task<Outcome> open(const bench::Endpoint& target, const Parameters& parameters);
  bool is_open() const { return fd_.get() >= 0; }
  char status() const { return status_; }  // of the last ReadyForQuery

  Task<Outcome> play(const Script& script);
  // The two halves of play(), for those who do something in between.
  Task<Outcome> send(std::string_view bytes);
  Task<Outcome> check(const Script& script);
  const std::string& sqlstate() const { return sqlstate_; }  // after kFailed, or before kLost
  const std::vector<std::string>& captured() const { return captured_; }

  // Reads at most so many bytes, as they come, and looks at none of them.
  Task<Outcome> swallow(std::size_t bytes_max);
  // From now on: so few bytes at a time, with a pause after each; 0: as fast as they come.
  void read_slowly(std::size_t bytes_at_a_time) { slow_bytes_ = bytes_at_a_time; }
  // Ends the connection without a word; with a reset when `hard`.
  void drop(bool hard);
  Task<Outcome> finish();
  // Asks, on a connection of its own, to cancel what this peer is doing.
  Task<Outcome> cancel(const bench::Endpoint& target);

  // A ParameterStatus of one of these names must say one of these values.
  void allow_setting(std::string_view name, std::string_view value);
  void settle_setting(std::string_view name, std::string_view value);

 private:
  struct Received {
    char type;
    std::string body;
  };
  Task<std::optional<Received>> next();
  Task<Outcome> connect_to(const bench::Endpoint& target);
  Task<Outcome> log_in();
  Task<Outcome> answer_authentication(std::string body);
  Outcome on_login_error(std::string_view body);
  void on_parameter(std::string_view body);
  Outcome complain(std::string_view what);

  LoadLoop& loop_;
  const LoadPlan& plan_;
  Tally& tally_;
  bench::ScramKeyCache& keys_;
  std::string name_;
  bench::Descriptor fd_;
  bench::Inbox inbox_;
  std::deque<Received> received_;
  std::map<std::string, std::vector<std::string>, std::less<>> settings_;  // allowed values
  std::string key_data_;
  std::string sqlstate_;
  std::vector<std::string> captured_;
  std::unique_ptr<bench::ScramClient> scram_;
  char status_ = '?';
  bool timed_out_ = false;
  std::size_t slow_bytes_ = 0;
};

}  // namespace penstock::load
