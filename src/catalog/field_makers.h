// How values become members and back: one maker per type of member, used by the tables in tenant_fields.cc
// only.
//
// A member is named by a function from the spec to a reference, so that nested members (overrides.pool_size)
// work too.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>

#include "catalog/duration_text.h"
#include "catalog/field.h"
#include "catalog/field_checks.h"
#include "catalog/timestamp.h"
#include "model/words.h"

namespace penstock::catalog::make {

// HOUSE(tidy): the parameters are moved from, but into a type that depends on Spec, where the check cannot
// see it. NOLINTBEGIN(performance-unnecessary-value-param)

// Member: a captureless callable, Spec& -> std::optional<int>&. 0 means what `meaning` says.
template <class Spec, auto Member, int kLeast, int kMost>
Field<Spec> integer(std::string name, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kInteger,
      .meaning = std::move(meaning),
      .allowed = fmt::format("a whole number, {} to {}", kLeast, kMost),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values {
        const std::optional<int>& value = Member(spec);
        return value ? Values{std::to_string(*value)} : Values{};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        if (values.empty()) {
          Member(spec).reset();
          return {};
        }
        const std::string& text = values.front();
        int number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || end != text.data() + text.size() || number < kLeast || number > kMost) {
          return refuse_value(fmt::format("a whole number, {} to {}", kLeast, kMost), text);
        }
        Member(spec) = number;
        return {};
      },
  };
}

// Member: Spec& -> std::optional<std::chrono::milliseconds>&.
template <class Spec, auto Member>
Field<Spec> duration(std::string name, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kDuration,
      .meaning = std::move(meaning),
      .allowed = std::string(kDurationAllowed),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values {
        const std::optional<std::chrono::milliseconds>& value = Member(spec);
        return value ? Values{to_text(*value)} : Values{};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        if (values.empty()) {
          Member(spec).reset();
          return {};
        }
        const base::Result<std::chrono::milliseconds> value = parse_duration(values.front());
        if (!value) return base::fail(value.error());
        Member(spec) = *value;
        return {};
      },
  };
}

// Member: Spec& -> std::optional<E>&.
template <class Spec, class E, auto Member>
Field<Spec> optional_word(std::string name, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kWord,
      .meaning = std::move(meaning),
      .allowed = model::list_of_words<E>(),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values {
        const std::optional<E>& value = Member(spec);
        return value ? Values{std::string(model::word_of(*value))} : Values{};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        if (values.empty()) {
          Member(spec).reset();
          return {};
        }
        const std::optional<E> value = model::from_word<E>(values.front());
        if (!value) return refuse_value(model::list_of_words<E>(), values.front());
        Member(spec) = value;
        return {};
      },
  };
}

// Member: Spec& -> E&. Shown only when it differs from `kPreset`.
template <class Spec, class E, auto Member, E kPreset>
Field<Spec> word(std::string name, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kWord,
      .meaning = std::move(meaning),
      .allowed = model::list_of_words<E>(),
      .preset = std::string(model::word_of(kPreset)),
      .get = [](const Spec& spec) -> Values {
        const E value = Member(spec);
        return value == kPreset ? Values{} : Values{std::string(model::word_of(value))};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        const std::optional<E> value = values.empty() ? kPreset : model::from_word<E>(values.front());
        if (!value) return refuse_value(model::list_of_words<E>(), values.front());
        Member(spec) = *value;
        return {};
      },
  };
}

// Member: Spec& -> std::optional<model::WallTime>&.
template <class Spec, auto Member>
Field<Spec> moment(std::string name, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kMoment,
      .meaning = std::move(meaning),
      .allowed = std::string(kMomentAllowed),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values {
        const std::optional<model::WallTime>& value = Member(spec);
        return value ? Values{to_text(*value)} : Values{};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        if (values.empty()) {
          Member(spec).reset();
          return {};
        }
        const std::optional<model::WallTime> value = parse_timestamp(values.front());
        if (!value) return refuse_value(kMomentAllowed, values.front());
        Member(spec) = *value;
        return {};
      },
  };
}

// Member: Spec& -> std::map<std::string, std::string>&. Check: Status(name, value).
template <class Spec, auto Member, auto Check>
Field<Spec> map(std::string name, std::string allowed, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kMap,
      .meaning = std::move(meaning),
      .allowed = std::move(allowed),
      .preset = "none",
      .get = [](const Spec& spec) -> Values {
        Values values;
        for (const auto& [key, value] : Member(spec)) values.push_back(key + "=" + value);
        return values;
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        std::map<std::string, std::string> entries;
        for (const std::string& text : values) {
          const std::size_t equals = text.find('=');
          if (equals == std::string::npos) return refuse_value("NAME=VALUE", text);
          const std::string key = text.substr(0, equals);
          const std::string value = text.substr(equals + 1);
          if (const base::Status status = Check(key, value); !status) return status;
          entries[key] = value;
        }
        Member(spec) = std::move(entries);
        return {};
      },
  };
}

// Member: Spec& -> bool&. Not set: false.
template <class Spec, auto Member>
Field<Spec> boolean(std::string name, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kBoolean,
      .meaning = std::move(meaning),
      .allowed = "true or false",
      .preset = "false",
      .get = [](const Spec& spec) -> Values { return Member(spec) ? Values{"true"} : Values{}; },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        const std::string text = values.empty() ? "false" : values.front();
        if (text != "true" && text != "false") return refuse_value("true or false", text);
        Member(spec) = text == "true";
        return {};
      },
  };
}

// Member: Spec& -> std::string&; empty means not set. Check: Status(std::string_view), on each non-empty
// value.
template <class Spec, auto Member, auto Check>
Field<Spec> text(std::string name, std::string allowed, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kText,
      .meaning = std::move(meaning),
      .allowed = std::move(allowed),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values {
        const std::string& value = Member(spec);
        return value.empty() ? Values{} : Values{value};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        if (values.empty() || values.front().empty()) {
          Member(spec).clear();
          return {};
        }
        if (const base::Status status = Check(values.front()); !status) return status;
        Member(spec) = values.front();
        return {};
      },
  };
}

// Member: Spec& -> std::optional<std::string>&. Check: Status(std::string_view).
template <class Spec, auto Member, auto Check>
Field<Spec> secret(std::string name, std::string allowed, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kSecret,
      .meaning = std::move(meaning),
      .allowed = std::move(allowed),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values {
        const std::optional<std::string>& value = Member(spec);
        return value ? Values{*value} : Values{};
      },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        if (values.empty()) {
          Member(spec).reset();
          return {};
        }
        if (const base::Status status = Check(values.front()); !status) return status;
        Member(spec) = values.front();
        return {};
      },
  };
}

// Member: Spec& -> std::vector<std::string>&. Check: Status(std::string_view), on each value.
template <class Spec, auto Member, auto Check>
Field<Spec> list(std::string name, std::string allowed, std::string preset, std::string meaning) {
  return Field<Spec>{
      .name = std::move(name),
      .kind = FieldKind::kList,
      .meaning = std::move(meaning),
      .allowed = std::move(allowed),
      .preset = std::move(preset),
      .get = [](const Spec& spec) -> Values { return Member(spec); },
      .set = [](Spec& spec, const Values& values) -> base::Status {
        for (const std::string& value : values) {
          if (const base::Status status = Check(value); !status) return status;
        }
        Member(spec) = values;
        return {};
      },
  };
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace penstock::catalog::make
