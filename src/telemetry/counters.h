// Counters with one writer: what a worker counts, and what the control thread reads and sums up.
//
// A plain load and store, no locked instruction: each counter belongs to one thread, which alone writes it.
// Readers see each counter whole, but not all counters at one moment.
//
// Owner: whoever counts, usually a worker; readers must not outlive it.
// Home:  writing LOOP, reading any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace penstock::telemetry {

// Only grows.
class Counter {
 public:
  void add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down.
class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t count = 1) { set(read() + count); }
  void subtract(std::int64_t count = 1) { set(read() - count); }
  std::int64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// One counter per value of an enum whose last value is kCount. On cache lines of its own, so that workers do
// not disturb each other.
template <class Name>
class alignas(64) CounterSet {
 public:
  static constexpr std::size_t kSize = static_cast<std::size_t>(Name::kCount);
  using Snapshot = std::array<std::uint64_t, kSize>;

  Counter& operator[](Name name) { return counters_[static_cast<std::size_t>(name)]; }
  const Counter& operator[](Name name) const { return counters_[static_cast<std::size_t>(name)]; }
  void add(const CounterSet& other) {
    for (std::size_t i = 0; i < kSize; ++i) counters_[i].add(other.counters_[i].read());
  }
  void add_to(Snapshot& sum) const {
    for (std::size_t i = 0; i < kSize; ++i) sum[i] += counters_[i].read();
  }

 private:
  std::array<Counter, kSize> counters_;
};

// The sum over all workers.
template <class Name>
typename CounterSet<Name>::Snapshot sum_of(std::span<const CounterSet<Name>* const> sets) {
  typename CounterSet<Name>::Snapshot sum{};
  for (const CounterSet<Name>* set : sets) set->add_to(sum);
  return sum;
}

}  // namespace penstock::telemetry
