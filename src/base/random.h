// Random numbers come in through this interface, so that a simulation can replay them from a seed.
#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace penstock::base {

class Random {
 public:
  virtual ~Random() = default;
  // Fills all of `out`. SystemRandom: cryptographic (getrandom(2)).
  virtual void fill(std::span<std::uint8_t> out) = 0;
  std::uint64_t next_u64();
  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
};

// Cryptographic randomness of the kernel; safe from any thread.
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

// Repeatable; for simulation and tests only, never for secrets. One thread.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::mt19937_64 engine_;
};

}  // namespace penstock::base
