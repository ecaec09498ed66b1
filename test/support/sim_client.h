// SimClient is a simulated application: it connects, asks what its WorkPlan invents, and checks every answer.
//
// Table:      kResting   -> kConnecting (timer)
//             kConnecting -> kLogin (connected), kResting (refused)
//             kLogin     -> kWorking (ReadyForQuery), kResting (error, end)
//             kWorking   -> kResting (end), kGone (after leave(), or a violation)
//
// Owner:      a scenario.
// Home:       LOOP
// Invariants: every token asked gets exactly one ending, here, whatever happens.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/scram_client.h"
#include "io/sim_loop.h"
#include "support/checkers.h"
#include "support/wire.h"
#include "support/work_plan.h"

namespace penstock::sim {

struct SimClientOptions {
  io::Address address = *io::Address::from_ip("10.0.0.5", 5432);
  std::string user = "app";
  std::string database = "shop";
  std::string password = "secret";
  WorkOptions work;
  std::size_t depth_max = 4;  // batches sent ahead of their answers
  base::Duration think_max = std::chrono::milliseconds(30);
  unsigned rude_per_mille = 0;   // batches after which it just goes away
  unsigned cancel_percent = 30;  // of slow statements
  // Errors and lost connections are part of the plan. Else each is a violation.
  bool tolerant = false;
  base::Duration patience = std::chrono::seconds(60);
};

class SimClient final : public io::StreamSink {
 public:
  SimClient(io::SimLoop& loop, Checkers& checkers, SimClientOptions options);
  ~SimClient();

  void start();
  // Finishes what is under way, in good order, and goes.
  void leave();
  void heal();  // from now on there is no excuse for waiting long
  bool is_gone() const { return state_ == State::kGone; }
  std::size_t completed() const { return completed_; }  // batches answered as they should be
  std::string describe() const;

  void on_data(io::Chunk bytes) override;
  void on_end(const base::Error* error) override;

 private:
  enum class State : std::uint8_t { kResting, kConnecting, kLogin, kWorking, kGone };
  class CancelCall;

  void rest();
  void connect();
  void on_connected(base::Result<io::StreamPtr> stream);
  void send_startup();
  void close(RequestChecker::Ending ending);
  void on_timer();
  void on_impatience();

  void handle(const Message& message);
  void on_login(const Message& message);
  void on_authentication(const Message& message);
  bool on_aside(const Message& message);
  void on_fatal(const ErrorFields& error);
  void on_step(const Message& message);
  bool fits(const Step& step, const Message& message) const;
  void on_surprise(const Message& message);
  void on_loose(const Message& message);
  void finish_batch(RequestChecker::Ending ending);
  void finish_strict();

  void work();
  void ask();
  void maybe_cancel();
  void say_goodbye();
  void send(std::string_view bytes);
  void violate(Rule rule, const std::string& text);
  bool is_excusable(const ErrorFields& error) const;

  io::SimLoop& loop_;
  base::Random& random_;
  Checkers& checkers_;
  const SimClientOptions options_;

  State state_ = State::kResting;
  bool leaving_ = false;
  bool healed_ = false;
  std::size_t completed_ = 0;

  // One connection.
  std::uint32_t number_ = 0;  // the client of its tokens
  io::StreamPtr stream_;
  std::unique_ptr<io::Connecting> connecting_;
  Splitter splitter_{false};
  bool asked_for_tls_ = false;
  std::optional<auth::ScramClient> scram_;
  auth::ScramKeyCache scram_cache_{random_};
  std::optional<WorkPlan> plan_;
  std::map<std::string, std::string> parameters_;
  std::string cancel_key_;
  struct Outstanding {
    Batch batch;
    base::TimePoint asked;
    std::size_t step = 0;
    bool synced = true;
    bool heard = false;  // anything before its ReadyForQuery
  };
  std::deque<Outstanding> outstanding_;
  bool loose_ = false;  // an excusable error came: until all is answered, only order and origin are checked
  int cancels_ = 0;     // asked for on this connection

  std::vector<std::unique_ptr<CancelCall>> cancel_calls_;
  io::Timer timer_ = io::Timer::calling<&SimClient::on_timer>(this);
  io::Timer impatience_ = io::Timer::calling<&SimClient::on_impatience>(this);
};

}  // namespace penstock::sim
