#include "admin/tenant_json.h"

#include <algorithm>
#include <span>

#include "catalog/duration_text.h"
#include "catalog/record.h"
#include "catalog/rotation.h"
#include "catalog/tenant_fields.h"
#include "catalog/timestamp.h"
#include "model/words.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using model::TenantSpec;
using model::TlsMode;
using model::UserSpec;

// What an answer has and a wish need not, or what is known by the path.
constexpr std::string_view kPassedOver[] = {"id",          "external_id", "revision", "default_pool_strategy",
                                            "inserted_at", "updated_at",  "users",    "name",
                                            "paused"};
constexpr std::string_view kPassedOverOfUsers[] = {"name", "db_user_alias", "is_manager", "id", "tenant"};

// What Supavisor has and we have not: its clients send it, empty. Of any other name, null is a slip of the pen as well.
constexpr std::string_view kOnlySupavisors[] = {"availability_zone", "feature_flags", "use_jit",
                                                "jit_api_url"};

constexpr std::pair<std::string_view, std::string_view> kTenantNames[] = {
    {"db_database", "upstream_database"},
    {"enforce_ssl", "require_tls"},
    {"default_pool_size", "pool_size"},
    {"default_max_clients", "max_clients"}};
constexpr std::pair<std::string_view, std::string_view> kUserNames[] = {
    {"db_user", "upstream_user"},
    {"db_password", "secret"},
    {"mode_type", "pool_mode"},
    {"pool_checkout_timeout", "query_wait_timeout"}};

void blame(FieldErrors& errors, const std::string& path, std::string_view name, std::string text) {
  errors[path + "." + std::string(name)].push_back(std::move(text));
}

catalog::Values texts_of(const json::value& value) {
  catalog::Values values;
  if (value.is_array()) {
    for (const json::value& one : value.get_array()) {
      values.push_back(one.is_string() ? std::string(one.get_string()) : json::serialize(one));
    }
  } else if (value.is_object()) {
    for (const auto& one : value.get_object()) {
      const json::value& text = one.value();
      values.push_back(std::string(one.key()) + "=" +
                       (text.is_string() ? std::string(text.get_string()) : json::serialize(text)));
    }
  } else if (value.is_string()) {
    values.emplace_back(value.get_string());
  } else if (!value.is_null()) {
    values.push_back(json::serialize(value));
  }
  return values;
}

// Calls `set` with each member of the wish: Supavisor's names first, so that ours, which can say more, have the last word.
template <class Spec, class Set>
void each_member(const json::object& wish, const catalog::FieldTable<Spec>& table,
                 std::span<const std::string_view> passed_over, Set set) {
  for (const bool ours : {false, true}) {
    for (const auto& member : wish) {
      const std::string_view name = member.key();
      const auto* field = catalog::find_field(table, name);
      if ((field != nullptr) != ours) continue;
      if (field == nullptr && std::ranges::find(passed_over, name) != passed_over.end()) continue;
      const bool is_secret = field != nullptr && field->kind == catalog::FieldKind::kSecret;
      if (is_secret && is_described_secret(member.value())) continue;  // an answer, sent back
      set(name, member.value());
    }
  }
}

template <class Spec>
void set(const catalog::FieldTable<Spec>& table, std::string_view field_name, const json::value& value,
         Spec& spec, const std::string& path, std::string_view said, FieldErrors& errors) {
  const auto* field = catalog::find_field(table, field_name);
  if (field == nullptr) {
    const bool is_passed_over =
        value.is_null() && std::ranges::find(kOnlySupavisors, said) != std::end(kOnlySupavisors);
    if (!is_passed_over) blame(errors, path, said, "is not supported");
    return;
  }
  if (auto done = catalog::set_field(*field, spec, texts_of(value)); !done) {
    blame(errors, path, said, without_name(done.error().message));
  }
}

// Supavisor's clients write times as numbers. As text they are checked as any other time, however large they are.
json::value as_duration(const json::value& value, std::string_view unit) {
  return value.is_number() ? json::value(json::serialize(value) + std::string(unit)) : value;
}

std::string_view ours(std::span<const std::pair<std::string_view, std::string_view>> names,
                      std::string_view name) {
  for (const auto& [theirs, our] : names) {
    if (theirs == name) return our;
  }
  return name;
}

// Fields whose values, not only whose names, differ. True: it was one of these.
bool apply_supavisors(std::string_view name, const json::value& value, TenantSpec& tenant) {
  if (name == "db_host" || name == "db_port") {
    if (value.is_null()) return true;
    if (tenant.hosts.empty()) tenant.hosts.emplace_back();
    if (name == "db_port") {
      tenant.hosts.front().port = static_cast<std::uint16_t>(value.to_number<int>());
    } else {
      tenant.hosts.front().host = std::string(value.get_string());
    }
  } else if (name == "upstream_ssl") {
    if (value.is_bool()) {
      const bool was_verified = tenant.upstream_tls >= TlsMode::kVerifyCa;
      tenant.upstream_tls = !value.get_bool() ? TlsMode::kDisable
                            : was_verified    ? tenant.upstream_tls
                                              : TlsMode::kRequire;
    }
  } else if (name == "upstream_verify") {
    if (value.is_string() && value.get_string() == "peer") tenant.upstream_tls = TlsMode::kVerifyFull;
  } else if (name == "sni_hostname") {
    tenant.sni_names.clear();
    if (value.is_string() && !value.get_string().empty()) tenant.sni_names.emplace_back(value.get_string());
  } else {
    return false;
  }
  return true;
}

void apply_users(const json::array& list, TenantSpec& tenant, const std::string& path, FieldErrors& errors) {
  std::vector<UserSpec> users;
  std::string manager;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const json::object& wish = list[i].get_object();
    const std::string place = path + "." + std::to_string(i);
    UserSpec user;
    user.name = name_in(wish);
    if (user.name.empty()) {
      blame(errors, place, "db_user", "can't be blank");
      continue;
    }
    // A secret that is not mentioned stays what it was.
    const auto before = std::ranges::find(tenant.users, user.name, &UserSpec::name);
    if (before != tenant.users.end()) {
      for (const auto& field : catalog::user_fields()) {
        if (field.kind == catalog::FieldKind::kSecret) (void)field.set(user, field.get(*before));
      }
      user.previous_secret_until = before->previous_secret_until;
    }
    apply(wish, user, place, errors);
    const json::value* is_manager = wish.if_contains("is_manager");
    if (is_manager != nullptr && is_manager->is_bool() && is_manager->get_bool()) manager = user.name;
    users.push_back(std::move(user));
  }
  tenant.users = std::move(users);
  if (!manager.empty()) tenant.auth_user = manager;
}

json::object parse(const std::string& text) {
  return json::parse(text).as_object();
}

json::value or_null(const std::optional<int>& number) {
  return number ? json::value(*number) : json::value();
}

void add_supavisors(json::object& object, const UserSpec& user, const TenantSpec& tenant) {
  object["db_user"] = user.upstream_user.empty() ? user.name : user.upstream_user;
  object["db_user_alias"] = user.name;
  object["is_manager"] = user.name == tenant.auth_user;
  object["mode_type"] = model::word_of(
      user.overrides.pool_mode.value_or(tenant.overrides.pool_mode.value_or(model::PoolMode::kTransaction)));
  if (!user.overrides.pool_mode) object["pool_mode"] = nullptr;  // the user has none of their own
  if (user.overrides.query_wait_timeout) {
    object["pool_checkout_timeout"] = user.overrides.query_wait_timeout->count();
  }
}

}  // namespace

std::string without_name(const std::string& message) {
  const std::size_t colon = message.find(": ");
  return colon == std::string::npos ? message : message.substr(colon + 2);
}

bool is_described_secret(const json::value& value) {
  return value.is_object() && value.get_object().contains("kind");
}

std::string name_in(const json::object& wish) {
  for (const char* name : {"name", "db_user_alias", "db_user"}) {
    const json::value* value = wish.if_contains(name);
    if (value != nullptr && value->is_string() && !value->get_string().empty()) {
      return std::string(value->get_string());
    }
  }
  return {};
}

void apply(const json::object& wish, TenantSpec& tenant, const std::string& path, FieldErrors& errors) {
  each_member(wish, catalog::tenant_fields(), kPassedOver,
              [&](std::string_view name, const json::value& said) {
                if (apply_supavisors(name, said, tenant)) return;
                const json::value value = name == "client_idle_timeout"         ? as_duration(said, "ms")
                                          : name == "client_heartbeat_interval" ? as_duration(said, "s")
                                                                                : said;
                set(catalog::tenant_fields(), ours(kTenantNames, name), value, tenant, path, name, errors);
              });
  const json::value* users = wish.if_contains("users");
  if (users != nullptr && users->is_array()) apply_users(users->get_array(), tenant, path + ".users", errors);
}

void apply(const json::object& wish, UserSpec& user, const std::string& path, FieldErrors& errors) {
  const UserSpec before = user;
  catalog::KeepPrevious keep;
  each_member(wish, catalog::user_fields(), kPassedOverOfUsers,
              [&](std::string_view name, const json::value& said) {
                if (name == "keep_previous") {
                  if (!said.is_string()) return;
                  const auto time = catalog::parse_duration(said.get_string());
                  if (time) keep = *time;
                  if (!time) blame(errors, path, name, time.error().message);
                  return;
                }
                if (name == "db_user" && said == json::value(user.name)) {
                  user.upstream_user.clear();  // the same name needs no second one
                  return;
                }
                const json::value value = name == "pool_checkout_timeout" ? as_duration(said, "ms") : said;
                set(catalog::user_fields(), ours(kUserNames, name), value, user, path, name, errors);
              });
  if (auto settled = catalog::settle_previous(before, user, keep, catalog::wall_clock_now()); !settled) {
    blame(errors, path, "keep_previous", settled.error().message);
  }
}

json::object to_json(const TenantSpec& tenant) {
  json::object object = parse(catalog::public_json(tenant));
  object["external_id"] = tenant.id;
  if (!tenant.hosts.empty()) {
    object["db_host"] = tenant.hosts.front().host;
    object["db_port"] = tenant.hosts.front().port;
  }
  object["db_database"] =
      tenant.upstream_database.empty() ? json::value() : json::value(tenant.upstream_database);
  object["upstream_ssl"] = tenant.upstream_tls >= TlsMode::kPrefer;
  object["upstream_verify"] = tenant.upstream_tls >= TlsMode::kVerifyCa ? json::value("peer")
                              : tenant.upstream_tls >= TlsMode::kPrefer ? json::value("none")
                                                                        : json::value();
  object["upstream_tls"] = model::word_of(tenant.upstream_tls);  // the two above cannot say it
  object["enforce_ssl"] = tenant.require_tls;
  object["require_user"] = tenant.require_user;
  object["default_pool_size"] = or_null(tenant.overrides.pool_size);
  object["default_max_clients"] = or_null(tenant.overrides.max_clients);
  object["sni_hostname"] = tenant.sni_names.empty() ? json::value() : json::value(tenant.sni_names.front());
  object["ip_version"] = model::word_of(tenant.ip_version);
  json::array users;
  for (const UserSpec& user : tenant.users) users.push_back(to_json(tenant, user));
  object["users"] = std::move(users);
  return object;
}

json::object to_json(const TenantSpec& tenant, const UserSpec& user) {
  json::object object = parse(catalog::public_json(tenant, user));
  add_supavisors(object, user, tenant);
  return object;
}

}  // namespace penstock::admin
