#include "config/suggest.h"

#include <algorithm>
#include <vector>

#include "config/table.h"

namespace penstock::config {
namespace {

constexpr std::size_t kWordMax = 64;

// Exactly what PgBouncer, another section, or the key with its section in front calls it.
std::string known_elsewhere(std::string_view key) {
  for (const auto& entry : settings_table()) {
    if (entry.pgbouncer == key || entry.name() == key) return entry.name();
  }
  for (const auto& entry : settings_table()) {
    const std::string joined = std::string(entry.section) + "_" + std::string(entry.key);
    const std::string timeout = std::string(entry.key) + "_timeout";
    if (entry.key == key || joined == key || (entry.section == "timeouts" && timeout == key))
      return entry.name();
  }
  return {};
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, previous(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({replaced, previous[j] + 1, current[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    before = previous;
    std::swap(previous, current);
  }
  return previous[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  if (word.empty() || word.size() > kWordMax) return best;
  std::size_t best_distance = word.size() / 3 + 1;  // this much may differ
  for (std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < candidate.size() &&
        (distance < best_distance || (best.empty() && distance == best_distance))) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggest_setting(std::string_view section, std::string_view key) {
  if (std::string known = known_elsewhere(key); !known.empty()) return known;
  std::vector<std::string_view> here, everywhere;
  for (const auto& entry : settings_table()) {
    (entry.section == section ? here : everywhere).push_back(entry.key);
    if (!entry.pgbouncer.empty()) everywhere.push_back(entry.pgbouncer);
  }
  if (const auto like = nearest(key, here); !like.empty()) return find_setting(section, like)->name();
  if (const auto like = nearest(key, everywhere); !like.empty()) return known_elsewhere(like);
  return {};
}

}  // namespace penstock::config
