// Draft: settings while they are being put together, with the mistakes found so far.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "config/load.h"
#include "config/table.h"

namespace penstock::config {

struct Draft {
  Loaded loaded = {};
  Errors errors = {};

  void fail(std::string where, std::string message, std::string detail = {}, std::string hint = {}) {
    errors.push_back({.sqlstate = base::kConfigFileError,
                      .message = std::move(message),
                      .detail = std::move(detail),
                      .hint = std::move(hint),
                      .where = std::move(where)});
  }
  // An error about one setting: "pool.size: 0 is out of range".
  void fail(std::string where, std::string_view name, base::Error error) {
    fail(std::move(where), std::string(name) + ": " + error.message, std::move(error.detail),
         std::move(error.hint));
  }
  void set(const Entry<Settings>& entry, base::Result<Value> value, const std::string& where) {
    if (!value) return fail(where, entry.name(), std::move(value.error()));
    entry.set(loaded.settings, *value);
    loaded.origins[entry.name()] = where;
  }
  void fail_unknown(std::string where, std::string_view section, std::string_view key);
};

// The layers, from weak to strong.
void apply_file(Draft& draft, std::string_view text, std::string_view file_name);
void apply_environment(Draft& draft, const Environment& environment);
void apply_overrides(Draft& draft, const std::vector<std::string>& overrides);
// What only shows when all values are known: a certificate without a key.
void check_together(Draft& draft);

// Text from outside for an error message: quoted, made harmless, and cut after 60 bytes.
std::string show(std::string_view text);

}  // namespace penstock::config
