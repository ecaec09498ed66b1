// Settings for people: what is in effect and why, what a reload changes, and the manual page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/table.h"

namespace penstock::config {

// A TOML file that loads to the same settings, with the origin of each value behind it; but the password in a URL is
// left out.
std::string render_effective(const Loaded& loaded);

// "postgres://user:***@host/db" for a URL with a password; any other text as it is.
std::string without_password(std::string_view text);

// The value of a setting as in the TOML file, without passwords.
std::string shown_value(const Entry<Settings>& entry, const Settings& settings);

struct Change {
  std::string name;  // "pool.size", "listeners"
  std::string before;
  std::string after;  // both as with --set
  bool needs_restart = false;
};
// In the order of the table.
std::vector<Change> diff(const Settings& before, const Settings& after);

// docs/manual/configuration.md, whole. A test compares the file with this.
std::string render_manual();

}  // namespace penstock::config
