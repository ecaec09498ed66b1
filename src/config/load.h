// load() makes Settings out of defaults, a TOML file, the environment and --set, each winning over the one
// before.
//
// All mistakes are found, not only the first. Nothing is applied in part: there are Settings or there are
// errors.
//
// Errors: kConfigFileError; `message` begins with the name of the setting, `detail` says what is allowed,
// `hint` what
//         was probably meant, `where` is "file:line:column", "PENSTOCK_…" or "--set …". At most 100, then a
//         count.
// Bounds: a file of at most 1 MiB.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/settings.h"

namespace penstock::config {

using Errors = std::vector<base::Error>;
using Environment = std::map<std::string, std::string>;

struct LoadOptions {
  std::string file = {};         // empty: no file
  Environment environment = {};  // all variables; those that do not begin with PENSTOCK_ are passed over
  std::vector<std::string> overrides = {};  // "section.key=value" or "listeners=…"
};

struct Loaded {
  Settings settings;
  // Where each value that is no default comes from, by full name ("pool.size", "listeners").
  std::map<std::string, std::string> origins = {};
  std::vector<std::string> warnings = {};  // what was passed over: an unknown PENSTOCK_… variable
};

std::expected<Loaded, Errors> load(const LoadOptions& options);
// The same from a text; `file_name` is for messages.
std::expected<Loaded, Errors> load_text(std::string_view text, std::string_view file_name);

// An error as one line for people: "penstock.toml:3:8: pool.size: 0 is out of range. Allowed: …".
std::string explain(const base::Error& error);

// Loads the variables of this process: environ as a map.
Environment to_environment(const char* const* variables);

}  // namespace penstock::config
