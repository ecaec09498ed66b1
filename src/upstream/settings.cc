#include "upstream/settings.h"

#include <strings.h>

#include <algorithm>
#include <array>

namespace penstock::upstream {

namespace {

int compare(std::string_view a, std::string_view b) {
  const int order = strncasecmp(a.data(), b.data(), std::min(a.size(), b.size()));
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : (a.size() > b.size() ? 1 : 0);
}

bool name_less(const std::pair<std::string, std::string>& a, const std::pair<std::string, std::string>& b) {
  return compare(a.first, b.first) < 0;
}

// Of a name given twice the last value counts.
void keep_last_of_each_name(Settings::Values& values) {
  auto kept = values.end();
  for (auto it = values.end(); it != values.begin();) {
    --it;
    const auto same = [&](const auto& later) { return compare(later.first, it->first) == 0; };
    if (std::none_of(kept, values.end(), same)) std::iter_swap(--kept, it);
  }
  values.erase(values.begin(), kept);
}

// Lists whose elements are quoted one by one: SET would take the whole text for one element.
bool is_quoted_list(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {
      "search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries",
      "unix_socket_directories"};
  return std::ranges::any_of(kNames, [&](std::string_view known) { return compare(known, name) == 0; });
}

void append_literal(std::string& sql, std::string_view text) {
  sql += text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') sql += c;
    sql += c;
  }
  sql += '\'';
}

void append_identifier(std::string& sql, std::string_view name) {
  // A custom setting is spelled "prefix.name": each part is an identifier of its own.
  sql += '"';
  for (const char c : name) {
    if (c == '.') {
      sql += "\".\"";
      continue;
    }
    if (c == '"') sql += '"';
    sql += c;
  }
  sql += '"';
}

void append_set(std::string& sql, std::string_view name, std::string_view value) {
  if (is_quoted_list(name)) {
    sql += "SELECT pg_catalog.set_config(";
    append_literal(sql, name);
    sql += ',';
    append_literal(sql, value);
    sql += ",false);";
    return;
  }
  sql += "SET ";
  append_identifier(sql, name);
  sql += " TO ";
  append_literal(sql, value);
  sql += ';';
}

}  // namespace

// What a statement is made of when it is parsed depends on these: names are looked up, literals become values.
bool decides_on_meaning(std::string_view name) {
  static constexpr std::array<std::string_view, 14> kNames = {"search_path",
                                                              "role",
                                                              "session_authorization",
                                                              "TimeZone",
                                                              "timezone_abbreviations",
                                                              "DateStyle",
                                                              "IntervalStyle",
                                                              "client_encoding",
                                                              "standard_conforming_strings",
                                                              "backslash_quote",
                                                              "transform_null_equals",
                                                              "array_nulls",
                                                              "xmloption",
                                                              "lc_monetary"};
  return std::ranges::any_of(kNames, [&](std::string_view known) { return compare(known, name) == 0; });
}

Settings::Settings(Values sorted) : values_(std::move(sorted)) {
  std::string text;
  for (const auto& [name, value] : values_) {
    if (decides_on_meaning(name)) text.append(name).append(1, '\0').append(value).append(1, '\0');
  }
  meaning_ = std::hash<std::string>{}(text);
}

const std::string* Settings::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(values_, [&](const auto& entry) { return compare(entry.first, name) == 0; });
  return found == values_.end() ? nullptr : &found->second;
}

bool same_name(std::string_view a, std::string_view b) {
  return compare(a, b) == 0;
}

SettingsPtr SettingsTable::intern(Settings::Values values) {
  keep_last_of_each_name(values);
  std::ranges::sort(values, name_less);
  return find_or_add(std::move(values));
}

SettingsPtr SettingsTable::find_or_add(Settings::Values values) {
  std::string key;
  for (const auto& [name, value] : values) {
    key.append(name).push_back('\0');
    key.append(value).push_back('\0');
  }
  std::weak_ptr<const Settings>& slot = sets_[std::move(key)];
  SettingsPtr settings = slot.lock();
  if (settings == nullptr) {
    settings = std::make_shared<const Settings>(std::move(values));
    slot = settings;
    if (sets_.size() > drop_at_) drop_unused();
  }
  return settings;
}

SettingsPtr SettingsTable::with(const SettingsPtr& base, std::string_view name, std::string_view value) {
  Settings::Values values = base == nullptr ? Settings::Values{} : base->values();
  const auto place =
      std::ranges::find_if(values, [&](const auto& entry) { return compare(entry.first, name) >= 0; });
  const bool has_it = place != values.end() && compare(place->first, name) == 0;
  if (has_it && place->second == value) return base;
  if (has_it) {
    place->second = value;
  } else {
    values.emplace(place, name, value);
  }
  return find_or_add(std::move(values));
}

void SettingsTable::drop_unused() {
  std::erase_if(sets_, [](const auto& entry) { return entry.second.expired(); });
  drop_at_ = std::max<std::size_t>(1024, sets_.size() * 2);
}

bool is_read_only(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kNames = {"server_version",        "server_encoding",
                                                             "integer_datetimes",     "is_superuser",
                                                             "session_authorization", "in_hot_standby"};
  return std::ranges::any_of(kNames, [&](std::string_view known) { return compare(known, name) == 0; });
}

std::string set_sql(std::string_view name, std::string_view value) {
  std::string sql;
  append_set(sql, name, value);
  return sql;
}

std::string difference_sql(const Settings& current, const Settings& target) {
  std::string sql;
  const auto& have = current.values();
  const auto& want = target.values();
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < have.size() || j < want.size()) {
    int order = 0;
    if (i == have.size()) {
      order = 1;
    } else if (j == want.size()) {
      order = -1;
    } else {
      order = compare(have[i].first, want[j].first);
    }
    if (order < 0) {
      sql += "RESET ";
      append_identifier(sql, have[i++].first);
      sql += ';';
    } else if (order > 0) {
      append_set(sql, want[j].first, want[j].second);
      ++j;
    } else {
      if (have[i].second != want[j].second) append_set(sql, want[j].first, want[j].second);
      ++i;
      ++j;
    }
  }
  return sql;
}

}  // namespace penstock::upstream
