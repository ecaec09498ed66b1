// The values of fields as JSON knows them, both ways. Used by records and documents.
#pragma once

#include <boost/json.hpp>
#include <string_view>

#include "base/error.h"
#include "catalog/field.h"

namespace penstock::catalog {

enum class Secrets : std::uint8_t { kTold, kDescribed, kLeftOut };

boost::json::value json_of(FieldKind kind, const Values& values, Secrets secrets);
// Errors: kConfigFileError when the type does not fit the kind.
base::Result<Values> values_of(FieldKind kind, std::string_view name, const boost::json::value& value);

template <class Spec>
void add_fields(boost::json::object& object, const FieldTable<Spec>& table, const Spec& spec,
                Secrets secrets) {
  for (const Field<Spec>& field : table) {
    const Values values = field.get(spec);
    if (values.empty() || (field.kind == FieldKind::kSecret && secrets == Secrets::kLeftOut)) continue;
    object[field.name] = json_of(field.kind, values, secrets);
  }
}

}  // namespace penstock::catalog
