// Janitor: brings an upstream that a session left in the middle of something back to a clean state.
//
// Cancels what runs, drains what the server still says, rolls back, resets if asked, checks if asked. A
// client that vanishes must not leave a query running, nor cost the pool a connection. Where the connect query's
// effect has been undone, it runs that again.
//
// Owner:      the Pool, beside the upstream it cleans.
// Home:       LOOP
// Waits:      config.cleanup_timeout in all; then the upstream is closed.
// Invariants: what the server sends meanwhile is swallowed and never reaches a client.
#pragma once

#include "io/task.h"
#include "pool/pool.h"

namespace penstock::pool {

class Janitor final : public base::ListHook<Janitor>, private upstream::UpstreamUser {
 public:
  Janitor(Pool& pool, upstream::Upstream& upstream, Cleaning work);
  void start();
  void cancel_answered();
  base::TimePoint started_at() const { return started_at_; }

 private:
  void on_upstream_data(upstream::Upstream& upstream, io::Chunk bytes) override;
  void on_upstream_end(upstream::Upstream& upstream, const base::Error* error) override;
  void take_figure(const pgwire::FrameScanner::Event& event);
  void note_left(pgwire::CommandTag tag);
  void interrupt();
  void cancel_running();
  void go_on();
  void give_up();
  void done(bool usable);

  Pool& pool_;
  upstream::Upstream& upstream_;
  Cleaning work_;
  base::TimePoint started_at_{};
  bool interrupted_ = false;
  bool rolled_back_ = false;
  bool is_own_work_ = false;    // all of the client's is over
  bool must_be_reset_ = false;  // or closed
  bool has_connected_ = false;  // connect_query was run
  bool measuring_ = false;
  bool must_succeed_ = false;  // what runs: without it, it is not known what state the session is in
  bool finished_ = false;
  io::Task<upstream::CancelEnd> cancelling_;
  io::Timer deadline_;
  io::Timer again_;
};

}  // namespace penstock::pool
