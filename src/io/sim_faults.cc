#include "io/sim_faults.h"

namespace penstock::io {

SimFaults SimFaults::calm(base::Random& random) {
  SimFaults faults;
  const bool far = random.below(4) == 0;
  faults.latency_max = far ? std::chrono::milliseconds(20) : std::chrono::microseconds(200);
  // Narrow windows exercise backpressure; tiny pieces split every message.
  if (random.below(4) == 0) faults.window_max = faults.window_min = 200 + random.below(3'000);
  if (random.below(3) == 0) faults.piece_max = 1 + random.below(64);
  return faults;
}

SimFaults SimFaults::some(base::Random& random) {
  SimFaults faults = calm(random);
  const auto sometimes = [&](unsigned percent_max) {
    return random.below(2) == 0 ? 0U : static_cast<unsigned>(1 + random.below(percent_max));
  };
  faults.refuse_percent = sometimes(40);
  faults.blackhole_percent = sometimes(20);
  faults.doom_percent = sometimes(60);
  faults.doom_within = std::chrono::milliseconds(1 + random.below(3'000));
  faults.doom_bytes_max = 1 + random.below(30'000);
  faults.stall_percent = sometimes(10);
  faults.stall_max = std::chrono::milliseconds(1 + random.below(2'000));
  return faults;
}

}  // namespace penstock::io
