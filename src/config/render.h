// Settings for people: what is in effect and why, what a reload changes, and the manual page.
#pragma once

#include <string>
#include <vector>

#include "config/load.h"

namespace penstock::config {

// A TOML file that loads to the same settings, with the origin of each value behind it. Settings hold no
// secrets.
std::string render_effective(const Loaded& loaded);

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
