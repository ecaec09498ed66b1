#include "catalog/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "auth/secret.h"
#include "catalog/bounds.h"
#include "catalog/field_checks.h"
#include "catalog/lower.h"
#include "catalog/tenant_fields.h"
#include "model/guarantee.h"
#include "model/words.h"

namespace penstock::catalog {

namespace {

using model::AuthMethod;
using model::PoolOverrides;
using model::TenantSpec;
using model::UserSpec;
using Problems = std::vector<Problem>;

void add(Problems& problems, std::string path, std::string text) {
  problems.push_back({.path = std::move(path), .text = std::move(text)});
}

void warn(Problems& problems, std::string path, std::string text) {
  problems.push_back({.path = std::move(path), .text = std::move(text), .weight = Problem::Weight::kWarning});
}

// Each field must accept what it holds.
template <class Spec>
void check_fields(Problems& problems, const FieldTable<Spec>& table, const Spec& spec,
                  const std::string& path) {
  Spec copy = spec;
  for (const Field<Spec>& field : table) {
    if (const base::Status status = field.set(copy, field.get(spec)); !status) {
      add(problems, path + "." + field.name, status.error().message);
    }
  }
}

void check_overrides(Problems& problems, const PoolOverrides& overrides, const std::string& path) {
  if (overrides.pool_size && overrides.min_pool_size && *overrides.min_pool_size > *overrides.pool_size) {
    add(problems, path + ".min_pool_size",
        fmt::format("must not be larger than pool_size ({}), not {}", *overrides.pool_size,
                    *overrides.min_pool_size));
  }
}

template <class Range>
void check_no_repeats(Problems& problems, const Range& names, const std::string& path) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second)
      add(problems, path, fmt::format("must list each name once, not \"{}\" twice", name));
  }
}

void check_user(Problems& problems, const TenantSpec& tenant, const UserSpec& user, const std::string& path) {
  if (const base::Status status = check_name(user.name); !status) add(problems, path, status.error().message);
  check_fields(problems, user_fields(), user, path);
  check_overrides(problems, user.overrides, path);

  if (user.previous_secret && !user.secret) {
    add(problems, path + ".previous_secret", "needs a secret beside it: alone it would be the secret");
  }
  if (user.previous_upstream_secret && !user.upstream_secret) {
    add(problems, path + ".previous_upstream_secret", "needs an upstream_secret beside it");
  }
  if (user.previous_secret_until && !user.previous_secret) {
    warn(problems, path + ".previous_secret_until", "means nothing without a previous_secret");
  }

  const AuthMethod method = user.auth_method.value_or(tenant.auth_method);
  const bool asks_for_password =
      method == AuthMethod::kScram || method == AuthMethod::kMd5 || method == AuthMethod::kPassword;
  if (asks_for_password && !user.secret && tenant.auth_query.empty()) {
    warn(problems, path + ".secret",
         fmt::format("is missing: with auth_method {} and no auth_query nobody can log in as \"{}\"",
                     model::word_of(method), user.name));
  }
  if (method == AuthMethod::kScram && user.secret &&
      auth::Secret::parse(*user.secret).kind() == auth::Secret::Kind::kMd5) {
    warn(
        problems, path + ".secret",
        "is an md5 hash, which cannot be checked with scram-sha-256: give the password or a verifier, or set "
        "auth_method to md5");
  }
  if (user.upstream_secret &&
      auth::Secret::parse(*user.upstream_secret).kind() == auth::Secret::Kind::kScram) {
    add(problems, path + ".upstream_secret",
        "must be a password or an md5 hash: a SCRAM verifier alone cannot log in to a server");
  }
}

void check_tls(Problems& problems, const TenantSpec& tenant, const std::string& path) {
  if (tenant.upstream_tls_cert_file.empty() == tenant.upstream_tls_key_file.empty()) return;
  const bool lacks_key = tenant.upstream_tls_key_file.empty();
  add(problems, path + (lacks_key ? ".upstream_tls_key_file" : ".upstream_tls_cert_file"),
      "must be given: upstream_tls_cert_file and upstream_tls_key_file go together");
}

void check_auth_query(Problems& problems, const TenantSpec& tenant, const std::string& path) {
  if (tenant.auth_query.empty()) return;
  const UserSpec* user = model::CatalogSnapshot::find_user(tenant, tenant.auth_user);
  if (user == nullptr) {
    // No error: the tenant is made first, its users after it. Until then auth_query finds nobody.
    warn(problems, path + ".auth_user",
         fmt::format("auth_query needs a user \"{}\" of this tenant to run as; add it", tenant.auth_user));
  } else if (!user->secret && !user->upstream_secret && tenant.upstream_tls_cert_file.empty()) {
    warn(problems, path + ".auth_user",
         fmt::format("user \"{}\" has neither secret nor upstream_secret to log in to the server with",
                     tenant.auth_user));
  }
}

void check_guarantees(Problems& problems, const TenantSpec& tenant, const std::string& path) {
  const int limit = tenant.overrides.max_upstreams.value_or(0);
  const int guaranteed = model::guaranteed_to_all(tenant);
  if (limit <= 0 || guaranteed <= limit) return;
  add(problems, path + ".max_upstreams",
      fmt::format("must be at least {}, not {}: so many are guaranteed to its users (guaranteed_pool_size)",
                  guaranteed, limit));
}

void check_ban(Problems& problems, const TenantSpec& tenant, const std::string& path) {
  if (tenant.banned && tenant.ban_reason.empty()) {
    add(problems, path + ".ban_reason", "must be given: clients are told why the tenant is banned");
  }
}

Values lower_all(const Values& names) {
  Values result;
  for (const std::string& name : names) result.push_back(lower(name));
  return result;
}

std::string path_of(const TenantSpec& tenant) {
  return "tenants." + tenant.id;
}

// Who holds which name, over several tenants.
class Claims {
 public:
  explicit Claims(std::string field) : field_(std::move(field)) {}

  void claim(Problems& problems, const TenantSpec& tenant, const std::string& name) {
    const auto [place, is_new] = holder_.try_emplace(name, tenant.id);
    if (is_new || place->second == tenant.id) return;
    problems.push_back(taken_name(tenant, field_, name, place->second));
  }

 private:
  std::string field_;
  std::map<std::string, std::string> holder_;
};

Problems conflicts_among(const std::vector<const TenantSpec*>& tenants) {
  Problems problems;
  Claims sni("sni_names");
  Claims databases("databases");
  for (const TenantSpec* tenant : tenants) {
    for (const std::string& name : tenant->sni_names) sni.claim(problems, *tenant, lower(name));
    for (const std::string& name : tenant->databases) databases.claim(problems, *tenant, name);
  }
  return problems;
}

}  // namespace

Problem taken_name(const TenantSpec& tenant, std::string_view field, std::string_view name,
                   std::string_view holder) {
  return {.path = fmt::format("{}.{}", path_of(tenant), field),
          .text = fmt::format("\"{}\" already leads to tenant \"{}\": each name may lead to one tenant only",
                              name, holder)};
}

Problems problems_of(const TenantSpec& tenant) {
  Problems problems;
  const std::string path = path_of(tenant);
  if (const base::Status status = check_tenant_id(tenant.id); !status) {
    add(problems, path + ".id", status.error().message);
  }
  check_fields(problems, tenant_fields(), tenant, path);
  std::ranges::move(beyond_bounds(tenant, path), std::back_inserter(problems));
  if (tenant.hosts.empty()) add(problems, path + ".hosts", "must name at least one host");
  check_no_repeats(problems, lower_all(tenant.sni_names), path + ".sni_names");
  check_no_repeats(problems, tenant.databases, path + ".databases");
  check_tls(problems, tenant, path);
  check_ban(problems, tenant, path);
  check_guarantees(problems, tenant, path);
  check_auth_query(problems, tenant, path);
  check_overrides(problems, tenant.overrides, path);

  std::set<std::string_view> names;
  for (const UserSpec& user : tenant.users) {
    const std::string user_path = path + ".users." + user.name;
    check_user(problems, tenant, user, user_path);
    if (!names.insert(user.name).second) add(problems, user_path, "must be listed once, not twice");
  }
  return problems;
}

Problems problems_of(const model::CatalogSnapshot& snapshot) {
  Problems problems;
  std::vector<const TenantSpec*> all;
  for (const model::TenantPtr& tenant : snapshot.tenants()) {
    std::ranges::move(problems_of(*tenant), std::back_inserter(problems));
    all.push_back(tenant.get());
  }
  std::ranges::move(conflicts_among(all), std::back_inserter(problems));
  return problems;
}

base::Status refuse_errors(const Problems& problems) {
  base::Error error{.sqlstate = base::kInvalidParameterValue};
  bool found = false;
  for (const Problem& problem : problems) {
    if (problem.weight != Problem::Weight::kError) continue;
    if (!found) {
      error.message = problem.to_string();
    } else {
      error.detail += (error.detail.empty() ? "" : " ") + problem.to_string() + ".";
    }
    found = true;
  }
  if (!found) return {};
  return base::fail(std::move(error));
}

}  // namespace penstock::catalog
