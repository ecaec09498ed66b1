// SimFaults says how a simulated network behaves: how slow, how much at a time, and how often what goes
// wrong.
//
// Home: SHARED (plain values; a SimWorld keeps one for all and one per address where set).
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "base/random.h"

namespace penstock::io {

struct SimFaults {
  // One way; bytes of one direction never overtake each other, connections do.
  base::Duration latency_min = std::chrono::microseconds(10);
  base::Duration latency_max = std::chrono::microseconds(200);
  // What one direction holds between writer and reader, in bytes; drawn once per direction.
  std::size_t window_min = 8 * 1024;
  std::size_t window_max = 256 * 1024;
  // The most that one on_data gets, in bytes; each piece is cut anywhere below that.
  std::size_t piece_max = 16 * 1024;

  // Faults. Percentages of the occasions named.
  unsigned refuse_percent = 0;                           // connects: refused
  unsigned blackhole_percent = 0;                        // connects: no answer at all
  unsigned doom_percent = 0;                             // connections: end before their time, see SimDoom
  base::Duration doom_within = std::chrono::seconds(2);  // the latest moment of a doom by time
  std::size_t doom_bytes_max = 20'000;                   // the latest byte of a doom by bytes
  unsigned stall_percent = 0;                            // pieces: late by up to stall_max
  base::Duration stall_max = std::chrono::milliseconds(300);

  // No fault, but everything about splits and windows still random.
  static SimFaults calm(base::Random& random);
  // Some kinds of faults, not all at once: what hides one bug shows another.
  static SimFaults some(base::Random& random);
};

// How a doomed connection ends.
enum class SimDoom : unsigned char {
  kReset,    // both ends see a reset
  kEnd,      // one end's bytes stop with an orderly end, as of a process that died
  kSilence,  // nothing arrives any more, either way, until the world is healed (which resets it)
};

}  // namespace penstock::io
