// LoadThread drives its share of the clients: an epoll loop that connects, asks (closed or open loop) and
// measures.
//
// Owner:      main(), by unique_ptr.
// Home:       LOOP, but for enter() and the counts (SYNC: atomics).
// Invariants: 1. Queries are asked in kWarm and kMeasure only (and once per client in kConnect, with
//                --greet).
//             2. result() has latencies and counts of kMeasure only, but errors and violations of all phases.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "load_client.h"

namespace penstock::bench {

enum class Phase : int { kConnect, kWarm, kMeasure, kDrain, kStop };

class LoadThread final : public LoadHost {
 public:
  LoadThread(const LoadOptions& options, std::uint32_t first_client, unsigned clients, double rate);
  ~LoadThread();

  void run();  // until kStop
  void enter(Phase phase) { wanted_.store(phase); }
  LoadTotals result();  // after run()
  unsigned ready() const { return ready_.load(); }
  unsigned outstanding() const { return outstanding_.load(); }
  std::uint64_t failures() const { return failures_.load(); }

  const LoadOptions& options() const override { return options_; }
  LoadTotals& totals() override { return totals_; }
  base::ByteWriter& out() override { return out_; }
  ScramKeyCache& scram_keys() override { return scram_keys_; }
  std::uint64_t now_ns() const override { return now_ns_; }
  SSL_CTX* tls() override { return tls_.get(); }
  SslSessionPtr take_tls_session() override;
  void on_ready(LoadClient& client) override;
  void on_answered(LoadClient& client) override;
  void on_lost(LoadClient& client, bool was_ready, bool was_busy) override;

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };

  void read_clock();
  void change_phase(Phase phase);
  void connect_some();
  void ask_what_is_due();
  void ask(LoadClient& client, std::uint64_t due_ns);
  timespec patience() const;
  void on_event(LoadClient& client, std::uint32_t events);
  void watch(LoadClient& client, int operation, bool writing);
  // Readers that are slow on purpose: a piece, then a rest.
  void rest(LoadClient& client);
  void wake_rested();
  std::uint64_t segments_in() const;
  bool asking() const { return phase_ == Phase::kWarm || phase_ == Phase::kMeasure; }

  LoadOptions options_;
  std::vector<LoadClient> clients_;
  std::uint64_t interval_ns_;  // between two queries of the open loop; 0: closed loop
  Descriptor epoll_;
  std::unique_ptr<SSL_CTX, FreeContext> tls_;
  std::vector<SslSessionPtr> tls_sessions_;  // each is used once, as TLS 1.3 wants it
  ScramKeyCache scram_keys_;
  base::ByteWriter out_;
  std::vector<char> scratch_;
  LoadTotals totals_;    // of the phase at hand
  LoadTotals measured_;  // of kMeasure
  LoadTotals outside_;   // of all other phases that are over
  Phase phase_ = Phase::kConnect;
  std::uint64_t now_ns_ = 0;
  std::uint64_t next_due_ns_ = 0;
  std::deque<LoadClient*> off_;                                // to be connected
  std::deque<LoadClient*> idle_;                               // longest idle first
  std::deque<std::pair<std::uint64_t, LoadClient*>> resting_;  // until when, who
  std::uint64_t segments_before_ = 0;
  unsigned connecting_ = 0;
  std::uint64_t retry_at_ns_ = 0;  // after a failure, not at once

  std::atomic<Phase> wanted_ = Phase::kConnect;
  std::atomic<unsigned> ready_ = 0;
  std::atomic<unsigned> outstanding_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
};

}  // namespace penstock::bench
