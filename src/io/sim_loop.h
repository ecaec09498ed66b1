// SimLoop is the simulated backend of Loop: its turns are taken when its SimWorld says so.
//
// Owner:      whoever would own a real loop, by unique_ptr; dies before its world.
// Home:       LOOP
// Invariants: completions of one turn come in random order; those of one socket in their own.
#pragma once

#include <string>
#include <vector>

#include "io/loop.h"
#include "io/sim_world.h"

namespace penstock::io {

class SimLoop final : public Loop {
 public:
  SimLoop(SimWorld& world, std::string name, base::Random& random);
  ~SimLoop() override;

  std::string_view backend() const override { return "simulation"; }
  std::size_t sockets_max(unsigned) const override { return SIZE_MAX; }
  void run() override;
  base::Result<ListenerPtr> listen(const Address& address, const ListenOptions& options,
                                   AcceptSink& sink) override;
  std::unique_ptr<Connecting> connect(const Address& address, base::TimePoint deadline,
                                      ConnectDone done) override;
  base::Result<StreamPtr> adopt(int descriptor) override;
  void detach(StreamPtr stream, std::move_only_function<void(base::Result<Detached>)> done) override;

  const std::string& name() const { return name_; }
  bool has_stopped() const { return stopped(); }
  SimWorld& world() { return world_; }

  // --- for the world and its sockets ---
  base::TimePoint next_turn() const;
  void turn();
  // Queues a call for the next turn, in random order among the others.
  void complete(std::move_only_function<void()> call);
  // A test wrote from outside: what it wrote leaves in a turn that nothing else may cause.
  void flush_soon() {
    if (!turning_) wake();
  }

 protected:
  void wake() override;

 private:
  SimWorld& world_;
  const std::string name_;
  std::vector<std::move_only_function<void()>> completions_;
  base::TimePoint wanted_ = base::kNever;  // something is due
  base::TimePoint busy_until_;             // the last turn takes until then
  bool turning_ = false;
};

// A listening address of one loop.
class SimListener final : public Listener {
 public:
  SimListener(SimLoop& loop, Address address, bool shared, AcceptSink& sink);
  ~SimListener() override;
  const Address& address() const override { return address_; }
  bool is_shared() const { return shared_; }
  void accept(std::shared_ptr<SimSocket> socket);

 private:
  SimLoop& loop_;
  const Address address_;
  const bool shared_;
  AcceptSink* sink_;
  const std::shared_ptr<SimListener*> alive_ = std::make_shared<SimListener*>(this);
};

}  // namespace penstock::io
