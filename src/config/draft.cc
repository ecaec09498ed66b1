#include "config/draft.h"

#include <fmt/format.h>

#include "config/suggest.h"

namespace penstock::config {
namespace {

std::string keys_of(std::string_view section) {
  std::string keys;
  for (const auto& entry : settings_table()) {
    if (entry.section == section) keys += fmt::format("{}{}", keys.empty() ? "" : ", ", entry.key);
  }
  return keys;
}

std::string section_names() {
  std::string names = "listener";
  for (const Section& section : sections()) names += fmt::format(", {}", section.name);
  return names;
}

}  // namespace

std::string show(std::string_view text) {
  constexpr std::size_t kShownMax = 60;
  if (text.size() <= kShownMax) return quote_toml(text);
  std::size_t cut = kShownMax;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;  // not within a character
  return quote_toml(text.substr(0, cut)) + "…";
}

void Draft::fail_unknown(std::string where, std::string_view section, std::string_view key) {
  const std::string keys = keys_of(section);
  const std::string likely = suggest_setting(section, key);
  fail(std::move(where),
       keys.empty() ? fmt::format("there is no section {}", show(section))
                    : fmt::format("section {} has no {}", section, show(key)),
       keys.empty() ? fmt::format("Allowed sections: {}.", section_names())
                    : fmt::format("Allowed: {}.", keys),
       likely.empty() ? "" : fmt::format("Did you mean {}?", likely));
}

}  // namespace penstock::config
