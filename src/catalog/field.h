// Field describes one property of a tenant or a user: its name, meaning, allowed values, and how to read and
// write it.
//
// Without it, the stored record, the command line, the validation messages and the manual would each have
// their own list of properties, and would soon disagree.
//
// Home:       SHARED (constant tables, see tenant_fields.h).
// Invariants: 1. set(spec, get(spec)) changes nothing.
//             2. Setting no values gives the field its preset.
// Errors:     set() says what is allowed, without the field's name: the caller knows the path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::catalog {

// Whether anything acts on a field yet. A reserved one is stored and given back, so that tools that set it work, but
// no help and no manual speaks of it.
enum class Standing : std::uint8_t { kInForce, kReserved };

enum class FieldKind : std::uint8_t {
  kText,
  kInteger,
  kBoolean,   // "true" or "false"
  kDuration,  // "250ms", "30s", "5min", "1h"
  kWord,      // one of a few words
  kList,      // any number of values
  kMap,       // any number of "name=value"
  kMoment,    // "2026-11-22T10:53:43Z"
  kSecret,    // never shown
};

// A field's value as text: none when it has not been set, one, or (kList, kMap) several.
using Values = std::vector<std::string>;

// What of a field is the operator's: whoever may change one tenant only (by a token that is limited to it) may not
// change that.
struct OperatorsPart {
  std::string words = {};                            // for the manual and OpenAPI; empty: nothing
  bool (*covers)(std::string_view value) = nullptr;  // which values; null: none
};

template <class Spec>
struct Field {
  std::string name;  // "pool_size"; the command line says --pool-size
  FieldKind kind;
  std::string meaning;  // a full sentence or two, for --help and the manual
  std::string allowed;  // "a whole number, 1 to 10000"
  std::string preset;   // what holds when it is not set
  Values (*get)(const Spec&);
  base::Status (*set)(Spec&, const Values&);
  std::string short_option = {};  // a shorter name on the command line: "--tls"
  Standing standing = Standing::kInForce;
  OperatorsPart operators = {};

  bool takes_many() const { return kind == FieldKind::kList || kind == FieldKind::kMap; }
};

template <class Spec>
using FieldTable = std::vector<Field<Spec>>;

// Null when there is none.
template <class Spec>
const Field<Spec>* find_field(const FieldTable<Spec>& table, std::string_view name) {
  for (const Field<Spec>& field : table) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

// The value as people are shown it: lists joined, secrets described ("SCRAM-SHA-256 verifier"), nothing when
// not set.
template <class Spec>
std::string shown(const Field<Spec>& field, const Spec& spec);

// What kind of secret a text is, without telling it: "password", "md5 hash", "SCRAM-SHA-256 verifier, 4096
// iterations".
std::string describe_secret(std::string_view secret);

// Sets a field, and names it in the error: "pool_size: must be a whole number, 1 to 10000, not "x"".
template <class Spec>
base::Status set_field(const Field<Spec>& field, Spec& spec, const Values& values);

// "--pool-size" for "pool_size".
std::string option_name(std::string_view field_name);

}  // namespace penstock::catalog
