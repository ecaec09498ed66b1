// ToyPooler is a small transaction pooler with bugs to order: it shows that the checkers find what they are
// there for.
//
// Without a bug it is right, within limits: no named statements, no settings, no cancel, memory without
// bounds.
//
// Owner:      a scenario.
// Home:       LOOP
// Invariants: an upstream is in exactly one of: opening, idle, bound to a session.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "sim/scenario.h"
#include "support/wire.h"

namespace penstock::sim {

enum class PlantedBug : std::uint8_t {
  kNone,
  kSwapsAnswers,     // now and then a message goes to another client
  kLosesReady,       // a ReadyForQuery never arrives
  kRepeatsQuery,     // a Query is sent twice
  kInventsAnswer,    // BEGIN is answered without asking the server
  kChangesRow,       // a row's last byte differs
  kReleasesEarly,    // after any ReadyForQuery, inside transactions too
  kSwapsOrder,       // two pipelined queries change places
  kStaleCancel,      // a cancel goes to the upstream the client had last
  kIgnoresLimit,     // opens an upstream for every waiter
  kServesLastFirst,  // the newest waiter first
  kSendsNonsense,    // an unknown message to the server
  kNeverReconnects,  // after a failed connect
  kKeepsConnection,  // an upstream stays open for good
};

class ToyPooler final : public Middle, public io::AcceptSink {
 public:
  struct Options {
    PlantedBug bug = PlantedBug::kNone;
    std::size_t upstreams_max = 2;
  };
  ToyPooler(MiddleSite& site, Options options);
  ~ToyPooler() override;

  // For ScenarioOptions::middle.
  static MiddleBuilder builder(Options options) {
    return [options](MiddleSite& site) { return std::make_unique<ToyPooler>(site, options); };
  }
  // What clients may ask of it.
  static WorkOptions work() { return {.named_statements = false, .settings = false}; }

  io::Address client_address() const override { return address_; }
  void drain() override;
  bool is_drained() const override { return sessions_.empty() && upstreams_.empty(); }
  void on_accept(io::StreamPtr stream) override;

 private:
  class Session;
  class Upstream;

  void want_upstream(Session& session);
  void serve_waiters();
  // Those that we have closed may not be gone yet.
  std::size_t upstreams_at_server();
  void open_upstream();
  void release(Upstream& upstream);
  void forget(Session& session);
  void forget(Upstream& upstream);
  void on_opened(Upstream& upstream, base::Result<io::StreamPtr> stream);
  void cancel(std::uint32_t session_id);
  bool strikes(PlantedBug bug, std::uint64_t one_in);

  const Options options_;
  SimPostgresOptions server_;
  const io::Address address_ = *io::Address::from_ip("10.0.0.9", 6432);
  std::unique_ptr<io::SimLoop> loop_;
  std::map<std::uint32_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Upstream>> upstreams_;
  std::deque<Session*> waiters_;
  std::deque<base::TimePoint> leaving_;  // until then a closed upstream counts
  std::map<std::uint32_t, std::string>
      stale_keys_;  // of kStaleCancel: session → cancel key of its last upstream
  std::vector<std::unique_ptr<io::Connecting>> cancel_connects_;
  std::vector<io::StreamPtr> kept_;
  std::uint32_t last_session_ = 0;
  bool draining_ = false;
  bool gave_up_ = false;
  io::ListenerPtr listener_;
  io::Timer retry_ = io::Timer::calling<&ToyPooler::serve_waiters>(this);
};

}  // namespace penstock::sim
