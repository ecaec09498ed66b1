#include "config/load.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "config/draft.h"
#include "config/listener_text.h"
#include "config/suggest.h"

namespace penstock::config {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::size_t kErrorsMax = 100;
constexpr std::string_view kPrefix = "PENSTOCK_";

void read_file(Draft& draft, const std::string& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.fail() && !stream.eof())) {
    const char* why = errno != 0 ? std::strerror(errno) : "cannot be read";
    return draft.fail(file, fmt::format("could not read the configuration file: {}", why));
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kFileBytesMax) return draft.fail(file, "the configuration file is larger than 1 MiB");
  apply_file(draft, text, file);
}

void set_listeners(Draft& draft, std::string_view text, const std::string& where) {
  auto listeners = parse_listeners(text);
  if (!listeners) return draft.fail(where, "listeners", std::move(listeners.error()));
  draft.loaded.settings.listeners = std::move(*listeners);
  draft.loaded.origins["listeners"] = where;
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Kubernetes gives each container variables for each service of its namespace, made from the service's name;
// a service called "penstock" or "penstock-pool" makes names that look like ours.
bool is_from_kubernetes(std::string_view name, std::string_view value) {
  if (name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")) return true;
  const bool about_port = name.ends_with("_PORT") || name.contains("_TCP") || name.contains("_UDP");
  return about_port &&
         (value.starts_with("tcp://") || value.starts_with("udp://") || name.contains("_PORT_"));
}

const Entry<Settings>* find_by_environment_name(std::string_view name) {
  for (const auto& entry : settings_table()) {
    if (entry.environment_name() == name) return &entry;
  }
  return nullptr;
}

// Variables that mean something to the program, but are no settings.
bool is_known_otherwise(std::string_view name) {
  return name == "PENSTOCK_CONFIG" || name == "PENSTOCK_CATALOG_KEY" || name.starts_with("PENSTOCK_KEY") ||
         name.starts_with("PENSTOCK_TEST");
}

void note_unknown_variable(Draft& draft, const std::string& name, std::string_view value) {
  if (is_from_kubernetes(name, value) || is_known_otherwise(name)) return;
  const std::string lower = in_lower_case(std::string_view(name).substr(kPrefix.size()));
  for (const Section& section : sections()) {
    const std::string prefix = std::string(section.name) + "_";
    if (lower.starts_with(prefix)) return draft.fail_unknown(name, section.name, lower.substr(prefix.size()));
  }
  const std::string likely = suggest_setting("", lower);
  draft.loaded.warnings.push_back(fmt::format(
      "the environment variable {} is not known and was passed over{}", name,
      likely.empty() ? "" : fmt::format("; did you mean {}?", find_setting(likely)->environment_name())));
}

std::expected<Loaded, Errors> finish(Draft&& draft) {
  check_together(draft);
  if (draft.errors.empty()) return std::move(draft.loaded);
  if (draft.errors.size() > kErrorsMax) {
    const std::size_t more = draft.errors.size() - kErrorsMax;
    draft.errors.resize(kErrorsMax);
    draft.fail("", fmt::format("and {} more mistakes", more));
  }
  return std::unexpected(std::move(draft.errors));
}

}  // namespace

void apply_environment(Draft& draft, const Environment& environment) {
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix)) continue;
    if (name == "PENSTOCK_LISTENERS") {
      set_listeners(draft, value, name);
    } else if (const auto* entry = find_by_environment_name(name)) {
      draft.set(*entry, parse_value(entry->allowed, value), name);
    } else {
      note_unknown_variable(draft, name, value);
    }
  }
}

void apply_overrides(Draft& draft, const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    const auto equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const std::string where = "--set " + name;
    if (equals == std::string::npos) {
      draft.fail("--set", fmt::format("{} has no value", show(text)), "Write --set section.key=value.");
    } else if (name == "listeners") {
      set_listeners(draft, text.substr(equals + 1), where);
    } else if (const auto* entry = find_setting(name)) {
      draft.set(*entry, parse_value(entry->allowed, text.substr(equals + 1)), where);
    } else {
      const auto dot = name.find('.');
      const bool dotted = dot != std::string::npos;
      draft.fail_unknown("--set", dotted ? name.substr(0, dot) : "", dotted ? name.substr(dot + 1) : name);
    }
  }
}

std::expected<Loaded, Errors> load(const LoadOptions& options) {
  Draft draft;
  if (!options.file.empty()) read_file(draft, options.file);
  apply_environment(draft, options.environment);
  apply_overrides(draft, options.overrides);
  return finish(std::move(draft));
}

std::expected<Loaded, Errors> load_text(std::string_view text, std::string_view file_name) {
  Draft draft;
  apply_file(draft, text, file_name);
  return finish(std::move(draft));
}

Environment to_environment(const char* const* variables) {
  Environment environment;
  for (; variables != nullptr && *variables != nullptr; ++variables) {
    const std::string_view variable = *variables;
    const auto equals = variable.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return environment;
}

std::string explain(const base::Error& error) {
  std::string line = error.where.empty() ? error.message : error.where + ": " + error.message;
  for (const std::string& sentence : {error.detail, error.hint}) {
    if (sentence.empty()) continue;
    line += line.ends_with('.') ? " " : ". ";
    line += sentence;
  }
  return line;
}

}  // namespace penstock::config
