// JSON schemas: what a body must look like. The same objects stand in the OpenAPI document and check requests, so
// that the two cannot disagree.
//
// Understood of JSON Schema: type, nullable, properties, required, additionalProperties (false), items, enum,
// minimum, maximum, minLength, maxLength, maxItems, and $ref to a component.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "admin/problem.h"

namespace penstock::admin {

// All components by name: "Tenant", "Problem", …
const boost::json::object& schemas();

// What is wrong with `value`; nothing when all is well. `path`: where it stands.
void check(const boost::json::value& schema, const boost::json::value& value, const std::string& path,
           FieldErrors& errors);

boost::json::object reference_to(std::string_view component);

}  // namespace penstock::admin
