// The table of all settings. Parser, environment, --set, checks, manual and console are made from it.
//
// Home:       SHARED (built once, immutable).
// Invariants: 1. `section.key` is unique, and so is the environment variable made from it.
//             2. set(get()) changes nothing, and the default of every entry is allowed.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "config/value.h"

namespace penstock::config {

template <class Owner>
struct Entry {
  std::string_view section;  // empty in the table of listeners
  std::string_view key;
  std::string_view doc;        // one sentence or two, for the manual
  std::string_view pgbouncer;  // what PgBouncer calls it, if it has it
  bool reloadable = true;      // false: a change needs a restart
  Allowed allowed;
  Value (*get)(const Owner&);
  void (*set)(Owner&, const Value&);  // the value has passed check_value()

  std::string name() const;              // "pool.size"
  std::string environment_name() const;  // "PENSTOCK_POOL_SIZE"
};

struct Section {
  std::string_view name;
  std::string_view doc;
};

// In the order of the manual.
std::span<const Section> sections();
std::span<const Entry<Settings>> settings_table();
std::span<const Entry<ListenerSettings>> listener_table();

// Null when there is none.
const Entry<Settings>* find_setting(std::string_view section, std::string_view key);
const Entry<Settings>* find_setting(std::string_view name);  // "pool.size"
const Entry<ListenerSettings>* find_listener_setting(std::string_view key);

}  // namespace penstock::config
