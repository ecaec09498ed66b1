// TamperingProxy stands in front of the pooler or behind it and breaks one rule, so that the two together are
// a pooler with a bug, while the pooler itself has none to order.
//
// Without a tampering it passes on every message as it is.
//
// Owner:      a TamperedMiddle.
// Home:       LOOP
// Invariants: a message passes whole, in order, or is tampered with.
// Bounds:     none: a slow reader fills its memory.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/sim_loop.h"
#include "sim/pooler_middle.h"
#include "support/wire.h"

namespace penstock::sim {

enum class Tampering : std::uint8_t {
  kNone,
  // Between clients and pooler.
  kInventsAnswer,  // BEGIN is answered without asking anybody
  kSwapsOrder,     // two pipelined queries change places
  kTurnsCancel,    // a cancel carries the key of another client
  kHoldsBack,      // what a client asks comes late
  // Between pooler and servers.
  kSwapsAnswers,      // now and then a row goes to another connection
  kLosesReady,        // a ReadyForQuery never arrives
  kRepeatsQuery,      // a Query is sent twice
  kChangesRow,        // a row's last byte differs
  kHidesTransaction,  // "in a transaction" becomes "idle": the pooler gives the server to the next client
  kOpensTwice,        // each log-in is done on a second connection too
  kSendsNonsense,     // an unknown message to the server
  kStaysDown,         // after one failed connect nobody can connect any more
  kKeepsConnection,   // to the server, after the pooler has closed it
};
inline bool is_before_servers(Tampering tampering) {
  return tampering >= Tampering::kSwapsAnswers;
}

class TamperingProxy final : public io::AcceptSink {
 public:
  TamperingProxy(io::SimWorld& world, const io::Address& address, const io::Address& target,
                 Tampering tampering);
  ~TamperingProxy();
  bool is_quiet() const { return links_.empty(); }
  void on_accept(io::StreamPtr stream) override;

 private:
  class Link;
  bool strikes(Tampering tampering, std::uint64_t one_in);
  void forget(std::uint32_t link);
  void stay_down() { listener_.reset(); }
  void keep(io::StreamPtr stream);

  const io::Address target_;
  const Tampering tampering_;
  std::unique_ptr<io::SimLoop> loop_;
  std::map<std::uint32_t, std::unique_ptr<Link>> links_;
  std::uint32_t last_link_ = 0;
  std::map<std::uint32_t, std::string> cancel_keys_;  // by link, as BackendKeyData carries them
  std::vector<io::StreamPtr> kept_;
  io::ListenerPtr listener_;
};

// The pooler with a TamperingProxy on one of its two sides.
class TamperedMiddle final : public Middle {
 public:
  TamperedMiddle(MiddleSite& site, const PoolerMiddle::Options& options, Tampering tampering);
  static MiddleBuilder builder(PoolerMiddle::Options options, Tampering tampering) {
    return [=](MiddleSite& site) { return std::make_unique<TamperedMiddle>(site, options, tampering); };
  }
  io::Address client_address() const override;
  void drain() override { pooler_->drain(); }
  bool is_drained() const override { return pooler_->is_drained() && proxy_->is_quiet(); }

 private:
  const io::Address address_ = *io::Address::from_ip("10.0.0.7", 5432);
  const Tampering tampering_;
  SimPostgresOptions server_;  // as the pooler sees it
  std::unique_ptr<PoolerMiddle> pooler_;
  std::unique_ptr<TamperingProxy> proxy_;
};

}  // namespace penstock::sim
