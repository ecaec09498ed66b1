#include "catalog/field.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/secret.h"
#include "model/tenant.h"

namespace penstock::catalog {

std::string describe_secret(std::string_view secret) {
  const auth::Secret parsed = auth::Secret::parse(secret);
  switch (parsed.kind()) {
    case auth::Secret::Kind::kPlain:
      return "password";
    case auth::Secret::Kind::kMd5:
      return "md5 hash";
    case auth::Secret::Kind::kScram:
      return fmt::format("SCRAM-SHA-256 verifier, {} iterations", parsed.verifier().iterations);
  }
  return "password";
}

template <class Spec>
std::string shown(const Field<Spec>& field, const Spec& spec) {
  const Values values = field.get(spec);
  if (values.empty()) return {};
  if (field.kind == FieldKind::kSecret) return describe_secret(values.front());
  return fmt::format("{}", fmt::join(values, ", "));
}

template <class Spec>
base::Status set_field(const Field<Spec>& field, Spec& spec, const Values& values) {
  base::Status status;
  if (values.size() > 1 && !field.takes_many()) {
    status = base::fail(base::kInvalidParameterValue, fmt::format("takes one value, not {}", values.size()));
  } else {
    status = field.set(spec, values);
  }
  if (!status) status.error().message = field.name + ": " + status.error().message;
  return status;
}

template std::string shown(const Field<model::TenantSpec>&, const model::TenantSpec&);
template std::string shown(const Field<model::UserSpec>&, const model::UserSpec&);
template base::Status set_field(const Field<model::TenantSpec>&, model::TenantSpec&, const Values&);
template base::Status set_field(const Field<model::UserSpec>&, model::UserSpec&, const Values&);

std::string option_name(std::string_view field_name) {
  std::string option = "--" + std::string(field_name);
  std::ranges::replace(option, '_', '-');
  return option;
}

}  // namespace penstock::catalog
