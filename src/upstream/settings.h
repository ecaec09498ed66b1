// Settings: what a Postgres session has been told with SET, as far as we can know and repeat it.
//
// Clients share upstreams, but each must find its own TimeZone, search_path and so on. A Settings object is
// one set of such values; equal sets are one object, so that "does this upstream fit this client" is one
// comparison of pointers.
//
// Owner:      SettingsTable (one per worker) interns them; clients and upstreams share them by SettingsPtr.
// Home:       LOOP
// Invariants: 1. Names are unique and sorted without regard to case, spelled as the server reports them.
//             2. Within one table, equal sets are the same object.
// Bounds:     a value is at most what one start-up packet or ParameterStatus held; unused sets are dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock::upstream {

class Settings {
 public:
  using Values = std::vector<std::pair<std::string, std::string>>;
  explicit Settings(Values sorted);
  const Values& values() const { return values_; }
  // Differs where the same text may mean something else: which tables, which moment, which characters.
  std::uint64_t meaning() const { return meaning_; }
  const std::string* find(std::string_view name) const;

 private:
  Values values_;
  std::uint64_t meaning_ = 0;
};
using SettingsPtr = std::shared_ptr<const Settings>;

class SettingsTable {
 public:
  SettingsPtr intern(Settings::Values values);
  // `base` with `name` set to `value`.
  SettingsPtr with(const SettingsPtr& base, std::string_view name, std::string_view value);
  std::size_t size() const { return sets_.size(); }

 private:
  SettingsPtr find_or_add(Settings::Values sorted);
  void drop_unused();
  std::unordered_map<std::string, std::weak_ptr<const Settings>> sets_;  // by their canonical text
  std::size_t drop_at_ = 1024;
};

// Names of settings are compared without regard to case.
bool same_name(std::string_view a, std::string_view b);

// Whether the same text may mean something else under another value of it.
bool decides_on_meaning(std::string_view name);

// Whether the server reports `name` but nobody can SET it (server_version and the like).
bool is_read_only(std::string_view name);

// The statement that gives a setting a value.
std::string set_sql(std::string_view name, std::string_view value);

// The statements that turn a session with `current` into one with `target`; empty when nothing differs.
std::string difference_sql(const Settings& current, const Settings& target);

}  // namespace penstock::upstream
