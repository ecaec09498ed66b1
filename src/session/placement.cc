#include "session/placement.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

#include "pool/pool_hub.h"

namespace penstock::session {

namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

}  // namespace

unsigned choose_worker(const PlacementQuestion& question) {
  const auto wanted =
      static_cast<unsigned>((question.pool_size + kUpstreamsPerWorker - 1) / kUpstreamsPerWorker);
  if (question.pool_size <= 0 || wanted >= question.workers) return question.here;
  struct Ranked {
    std::uint64_t weight;
    unsigned worker;
  };
  std::array<Ranked, pool::kWorkersMax> ranking{};
  const std::uint64_t pool = std::hash<std::string_view>{}(question.pool);
  for (unsigned i = 0; i < question.workers; ++i) ranking[i] = {.weight = mix(pool + i), .worker = i};
  const auto heavier = [](const Ranked& a, const Ranked& b) { return a.weight > b.weight; };
  std::partial_sort(ranking.begin(), ranking.begin() + wanted, ranking.begin() + question.workers, heavier);
  const auto set = std::span(ranking).first(wanted);
  const bool fits =
      std::ranges::any_of(set, [&](const Ranked& entry) { return entry.worker == question.here; });
  return fits ? question.here : set[mix(question.session) % wanted].worker;
}

}  // namespace penstock::session
