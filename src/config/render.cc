#include "config/render.h"

#include <fmt/format.h>

#include "config/listener_text.h"
#include "config/table.h"

namespace penstock::config {
namespace {

std::string origin(const Loaded& loaded, const std::string& name) {
  const auto found = loaded.origins.find(name);
  return found == loaded.origins.end() ? "default" : found->second;
}

std::string render_listener(const ListenerSettings& listener) {
  std::string out = "\n[[listener]]\n";
  for (const auto& entry : listener_table()) {
    const Value value = entry.get(listener);
    if (value == Value(std::string())) continue;  // not set
    out += fmt::format("{} = {}\n", entry.key, to_toml(entry.allowed, value));
  }
  return out;
}

std::string join_listeners(const std::vector<ListenerSettings>& listeners) {
  std::string out;
  for (const ListenerSettings& listener : listeners) out += (out.empty() ? "" : ",") + to_text(listener);
  return out;
}

// For the log, which quotes by itself: "30s" without its quotation marks.
std::string plain(const Allowed& allowed, const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  const std::string written = to_toml(allowed, value);
  return written.starts_with('"') ? written.substr(1, written.size() - 2) : written;
}

}  // namespace

std::string render_effective(const Loaded& loaded) {
  std::string out;
  for (const Section& section : sections()) {
    out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section.name);
    for (const auto& entry : settings_table()) {
      if (entry.section != section.name) continue;
      const std::string setting =
          fmt::format("{} = {}", entry.key, to_toml(entry.allowed, entry.get(loaded.settings)));
      out += fmt::format("{:<40} # {}\n", setting, quote_toml(origin(loaded, entry.name())));
    }
  }
  out += fmt::format("\n# listeners: {}", quote_toml(origin(loaded, "listeners")));
  for (const ListenerSettings& listener : loaded.settings.listeners) out += render_listener(listener);
  return out;
}

std::vector<Change> diff(const Settings& before, const Settings& after) {
  std::vector<Change> changes;
  for (const auto& entry : settings_table()) {
    const Value old_value = entry.get(before), new_value = entry.get(after);
    if (old_value == new_value) continue;
    changes.push_back({.name = entry.name(),
                       .before = plain(entry.allowed, old_value),
                       .after = plain(entry.allowed, new_value),
                       .needs_restart = !entry.reloadable});
  }
  if (before.listeners != after.listeners) {
    changes.push_back({.name = "listeners",
                       .before = join_listeners(before.listeners),
                       .after = join_listeners(after.listeners),
                       .needs_restart = true});
  }
  return changes;
}

}  // namespace penstock::config
