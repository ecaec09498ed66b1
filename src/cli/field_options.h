// Options of the command line made from a field table, and what they change.
//
// Home: the main thread.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "catalog/field.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "config/suggest.h"

namespace penstock::cli {

// What --help says behind an option.
template <class Spec>
std::string help_of(const catalog::Field<Spec>& field) {
  std::string repeated = field.takes_many() ? "; may be repeated" : "";
  return fmt::format("{} [{}{}; otherwise: {}]", field.meaning, field.allowed, repeated, field.preset);
}

inline std::string_view placeholder(catalog::FieldKind kind) {
  switch (kind) {
    case catalog::FieldKind::kInteger:
      return "NUMBER";
    case catalog::FieldKind::kBoolean:
      return "true|false";
    case catalog::FieldKind::kDuration:
      return "TIME";
    case catalog::FieldKind::kWord:
      return "WORD";
    case catalog::FieldKind::kList:
      return "VALUE...";
    case catalog::FieldKind::kMoment:
      return "MOMENT";
    case catalog::FieldKind::kMap:
      return "NAME=VALUE...";
    case catalog::FieldKind::kText:
    case catalog::FieldKind::kSecret:
      return "TEXT";
  }
  return "TEXT";
}

// Owner: the options of a command, which CLI11 fills while it parses.
template <class Spec>
struct FieldOptions {
  std::map<std::string, catalog::Values> given = {};  // by field name
  std::vector<std::string> unset = {};                // names of fields or options

  void add_to(CLI::App& app, const catalog::FieldTable<Spec>& table) {
    for (const catalog::Field<Spec>& field : table) {
      std::string names = catalog::option_name(field.name);
      if (!field.short_option.empty()) names = field.short_option + "," + names;
      CLI::Option* option = app.add_option_function<std::vector<std::string>>(
          names, [this, name = field.name](const std::vector<std::string>& values) { given[name] = values; },
          help_of(field));
      option->type_name(std::string(placeholder(field.kind)))
          ->allow_extra_args(false)
          ->group(field.standing == catalog::Standing::kReserved ? "" : "Fields");
    }
  }
  void add_unset_to(CLI::App& app) {
    app.add_option("--unset", unset, "Gives a field back its default; may be repeated")
        ->type_name("FIELD")
        ->allow_extra_args(false);
  }

  // Whether a field is spoken of, also to unset it.
  bool mentions(const catalog::Field<Spec>& field) const {
    return given.contains(field.name) ||
           std::ranges::any_of(unset, [&](const std::string& word) { return names(word, field); });
  }

  // Errors: kInvalidParameterValue, naming every field that is wrong; then `spec` is not to be used.
  base::Status apply(const catalog::FieldTable<Spec>& table, Spec& spec) const {
    Mistakes mistakes;
    for (const std::string& word : unset) {
      const catalog::Field<Spec>* field = find(table, word);
      mistakes.note(field == nullptr ? unknown(table, word) : catalog::set_field(*field, spec, {}));
    }
    for (const catalog::Field<Spec>& field : table) {
      const auto values = given.find(field.name);
      if (values != given.end()) mistakes.note(catalog::set_field(field, spec, values->second));
    }
    return mistakes.status();
  }

 private:
  static bool names(const std::string& word, const catalog::Field<Spec>& field) {
    return field.name == word || "--" + word == catalog::option_name(field.name) ||
           "--" + word == field.short_option;
  }
  static const catalog::Field<Spec>* find(const catalog::FieldTable<Spec>& table, const std::string& word) {
    for (const catalog::Field<Spec>& field : table) {
      if (names(word, field)) return &field;
    }
    return nullptr;
  }
  static base::Status unknown(const catalog::FieldTable<Spec>& table, const std::string& word) {
    std::vector<std::string_view> names;
    for (const catalog::Field<Spec>& field : table) names.push_back(field.name);
    const std::string_view nearest = config::nearest(word, names);
    return base::fail(
        base::kInvalidParameterValue, fmt::format("--unset: there is no field \"{}\"", word), {},
        nearest.empty() ? "--help lists the fields." : fmt::format("Did you mean \"{}\"?", nearest));
  }
};

// "pool_size: 20 -> 40", one line per field that differs.
template <class Spec>
std::string difference(const catalog::FieldTable<Spec>& table, const Spec& before, const Spec& after) {
  std::string text;
  for (const catalog::Field<Spec>& field : table) {
    if (field.get(before) == field.get(after)) continue;
    const auto words = [&](const Spec& spec) {
      const std::string value = catalog::shown(field, spec);
      return value.empty() ? fmt::format("(not set: {})", field.preset) : value;
    };
    if (words(before) == words(after)) {  // a secret
      text += fmt::format("{}: another {}\n", field.name, words(after));
    } else {
      text += fmt::format("{}: {} -> {}\n", field.name, words(before), words(after));
    }
  }
  return text;
}

enum class Unset { kHide, kShow };

// "  pool_size  40", one row per field.
template <class Spec>
void add_field_rows(std::vector<Row>& rows, const catalog::FieldTable<Spec>& table, const Spec& spec,
                    Unset unset) {
  for (const catalog::Field<Spec>& field : table) {
    const std::string value = catalog::shown(field, spec);
    if (!value.empty()) rows.push_back({field.name, value});
    if (value.empty() && unset == Unset::kShow && field.standing != catalog::Standing::kReserved)
      rows.push_back({field.name, fmt::format("({})", field.preset)});
  }
}

}  // namespace penstock::cli
