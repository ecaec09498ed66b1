#include "config/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/listener_text.h"

namespace penstock::config {
namespace {

std::string origin(const Loaded& loaded, const std::string& name) {
  const auto found = loaded.origins.find(name);
  return found == loaded.origins.end() ? "default" : found->second;
}

Value without_password(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? value : Value(config::without_password(*text));
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

std::string without_password(std::string_view text) {
  std::string shown(text);
  const std::size_t scheme = shown.find("://");
  if (scheme == std::string::npos) return shown;
  // The last '@' before the query: whoever forgets to write one in a password as %40 shall not see it here.
  const std::size_t begin = scheme + 3;
  const std::size_t at = shown.rfind('@', shown.find('?', begin));
  const std::size_t colon = shown.find(':', begin);
  if (at != std::string::npos && colon != std::string::npos && colon < at) {
    shown.replace(colon + 1, at - colon - 1, "***");
  }
  for (std::size_t place = shown.find("password="); place != std::string::npos;
       place = shown.find("password=", place + 9)) {
    const std::size_t value = place + 9;
    shown.replace(value, std::min(shown.find('&', value), shown.size()) - value, "***");
  }
  return shown;
}

std::string shown_value(const Entry<Settings>& entry, const Settings& settings) {
  return to_toml(entry.allowed, without_password(entry.get(settings)));
}

std::string render_effective(const Loaded& loaded) {
  std::string out;
  for (const Section& section : sections()) {
    out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section.name);
    for (const auto& entry : settings_table()) {
      if (entry.section != section.name) continue;
      const std::string setting = fmt::format("{} = {}", entry.key, shown_value(entry, loaded.settings));
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
                       .before = plain(entry.allowed, without_password(old_value)),
                       .after = plain(entry.allowed, without_password(new_value)),
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
