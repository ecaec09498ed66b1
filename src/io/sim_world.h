// SimWorld runs any number of loops and the network between them in one thread, in virtual time, from one
// seed.
//
// A world takes the earliest of: a network event, a loop's turn. Between two of them no time passes;
// everything that real machines leave open (order of completions, sizes of pieces, delays, faults) is drawn
// from the seed.
//
// Owner:      a test; outlives all loops and streams made with it.
// Home:       LOOP (one thread; post() from other threads would not be repeatable)
// Invariants: 1. Equal seeds and equal code give equal trace_hash() after equal calls.
//             2. Time never goes backwards.
// Bounds:     none; tests bound time with run_until().
// See:        docs/internals/simulation.md
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "io/address.h"
#include "io/sim_faults.h"

namespace penstock::io {

class SimListener;
class SimLoop;
class SimSocket;

class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  std::unique_ptr<SimLoop> make_loop(std::string name);
  // Two connected sockets, for adopt().
  std::pair<int, int> socket_pair();

  base::TimePoint now() const { return now_; }
  base::Random& random() { return random_; }
  base::Duration random_duration(base::Duration least, base::Duration most);
  bool chance(unsigned percent) { return percent != 0 && random_.below(100) < percent; }

  // --- running ---
  // Calls outside of every loop: what a test or the network does at a time.
  void at(base::TimePoint time, std::move_only_function<void()> call);
  void after(base::Duration delay, std::move_only_function<void()> call) {
    at(now_ + delay, std::move(call));
  }
  // One event or turn, if there is one until `limit`.
  bool step(base::TimePoint limit);
  void run_until(base::TimePoint limit);
  // False when `condition` did not hold by `limit`.
  bool run_until(const std::function<bool()>& condition, base::TimePoint limit);

  // --- faults ---
  void set_faults(const SimFaults& faults) { faults_ = faults; }
  void set_faults(const Address& listener, const SimFaults& faults) {
    faults_by_address_[listener.to_string()] = faults;
  }
  // From now on nothing goes wrong by itself; connections gone silent are reset.
  void heal();
  // As if the host of this listener lost power: all its accepted connections are reset.
  void reset_accepted_by(const Address& listener);
  // How slow loops may be: up to `most` of virtual time per turn.
  void set_turn_cost_max(base::Duration most) { turn_cost_max_ = most; }

  // --- looking ---
  std::size_t open_sockets() const { return sockets_.size(); }
  std::vector<std::string> describe_open_sockets() const;
  std::uint64_t trace_hash() const { return trace_hash_; }
  std::uint64_t steps() const { return steps_; }

  // --- for the loops and sockets of this world ---
  const SimFaults& faults_for(const std::string& listener) const;
  bool healed() const { return healed_; }
  void trace(std::uint64_t kind, std::uint64_t a = 0, std::uint64_t b = 0);
  base::Duration turn_cost() { return random_duration(base::Duration(0), turn_cost_max_); }
  void add(SimListener& listener);
  void remove(SimListener& listener);
  SimListener* find_listener(const Address& address);
  bool is_taken(const Address& address) const;
  std::uint16_t next_port() { return ++last_port_ == 0 ? last_port_ = 1'024 : last_port_; }
  void remove(SimLoop& loop);
  std::uint64_t add(SimSocket& socket);
  void remove(SimSocket& socket);
  int put_descriptor(std::shared_ptr<SimSocket> socket);
  std::shared_ptr<SimSocket> take_descriptor(int descriptor);

 private:
  struct Event {
    base::TimePoint time;
    std::uint64_t order;
    std::move_only_function<void()> call;
    // For a heap with the earliest on top.
    friend bool operator<(const Event& a, const Event& b) {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };
  SimLoop* next_loop(base::TimePoint& time);

  base::SeededRandom random_;
  base::TimePoint now_;
  std::vector<Event> events_;  // a heap
  std::uint64_t last_order_ = 0;
  std::uint64_t trace_hash_ = 0;
  std::uint64_t steps_ = 0;

  std::deque<base::SeededRandom> loop_randoms_;
  std::vector<SimLoop*> loops_;
  std::map<std::string, std::vector<SimListener*>> listeners_;
  std::map<std::uint64_t, SimSocket*> sockets_;
  std::uint64_t last_socket_ = 0;
  std::map<int, std::shared_ptr<SimSocket>> descriptors_;
  int last_descriptor_ = 1'000'000;  // far from real ones
  std::uint16_t last_port_ = 30'000;

  SimFaults faults_;
  std::map<std::string, SimFaults> faults_by_address_;
  base::Duration turn_cost_max_ = std::chrono::microseconds(20);
  bool healed_ = false;
};

}  // namespace penstock::io
