// LoadClient is one client of the load generator: it logs in, asks, and checks that each answer is its own.
//
// Owner:      LoadThread, by value in a vector that does not move.
// Home:       LOOP
// Invariants: 1. At most one batch of queries is outstanding.
// Errors:     counted in the thread's totals; a lost connection is opened again.
//
//   state       | event            | next
//   kOff        | connect()        | kConnecting
//   kConnecting | writable         | kTlsAnswer (TLS) or kLogin
//   kTlsAnswer  | 'S'              | kHandshake
//   kHandshake  | done             | kLogin
//   kLogin      | ReadyForQuery    | kPreparing, kBusy (greet) or kIdle
//   kPreparing  | ReadyForQuery    | kBusy (greet) or kIdle
//   kIdle       | ask()            | kBusy
//   kBusy       | last answer      | kIdle
//   any         | failure, end     | kOff
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "load_connection.h"
#include "load_options.h"
#include "scram.h"
#include "wire.h"

namespace penstock::bench {

class LoadClient;

// What the clients of one thread share.
class LoadHost {
 public:
  virtual const LoadOptions& options() const = 0;
  virtual LoadTotals& totals() = 0;
  virtual base::ByteWriter& out() = 0;  // for the query under construction
  virtual ScramKeyCache& scram_keys() = 0;
  virtual std::uint64_t now_ns() const = 0;  // read once per event
  virtual SSL_CTX* tls() = 0;
  virtual SslSessionPtr take_tls_session() = 0;   // to resume; null: there is none
  virtual void on_ready(LoadClient& client) = 0;  // kIdle for the first time since connect()
  virtual void on_answered(LoadClient& client) = 0;
  virtual void on_lost(LoadClient& client, bool was_ready, bool was_busy) = 0;

 protected:
  ~LoadHost() = default;
};

class LoadClient {
 public:
  LoadClient(LoadHost& host, std::uint32_t number) : host_(host), number_(number) {}

  // The descriptor to watch, or -1 when not even connecting was possible.
  int connect();
  void ask(std::uint64_t due_ns);  // latency counts from when the query was due
  void on_writable();
  void on_bytes(std::string_view bytes);
  void finish();  // politely

  LoadConnection& connection() { return connection_; }
  const LoadConnection& connection() const { return connection_; }
  bool in_handshake() const { return state_ == State::kHandshake; }
  bool connecting() const { return state_ == State::kConnecting; }
  bool logged_in() const { return state_ >= State::kIdle; }
  bool busy() const { return state_ == State::kBusy; }
  void lose(const char* why);
  void go_on_with_handshake();

 private:
  enum class State { kOff, kConnecting, kTlsAnswer, kHandshake, kLogin, kPreparing, kIdle, kBusy };

  void begin_login();
  Inbox::Verdict on_message(const Message& message);
  void on_authentication(std::string_view body);
  void on_login_over();
  void announce();
  void on_ready_for_query();
  void on_row(std::string_view value);
  void on_error(std::string_view body);
  void prepare();
  void write_batch(base::ByteWriter& out);
  void write_one(base::ByteWriter& out, std::string_view token);
  std::string named(const std::string& pattern) const;
  void send_copy();
  std::string expression(std::string_view value) const;
  void send_password(std::string_view mechanism, std::string_view text);

  LoadHost& host_;
  LoadConnection connection_;
  Inbox inbox_;
  std::uint32_t number_;
  State state_ = State::kOff;
  bool greeted_ = false;
  bool announced_ = false;       // on_ready() was called
  bool failed_ = false;          // an error came for the answer at hand
  std::uint32_t serial_ = 0;     // of the first query of the batch at hand
  unsigned answered_ = 0;        // of the batch
  unsigned ready_expected_ = 0;  // ReadyForQuery still to come
  std::uint64_t rows_ = 0;       // of the answer at hand
  std::uint64_t copy_left_ = 0;  // lines still to send
  std::uint64_t due_ns_ = 0;
  std::uint64_t opened_ns_ = 0;
  std::unique_ptr<ScramClient> scram_;  // during login
};

}  // namespace penstock::bench
