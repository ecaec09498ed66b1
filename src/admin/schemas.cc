// The components of the OpenAPI document. Those of tenants and users are made from the catalog's field tables.
#include "admin/schema.h"
#include "catalog/tenant_fields.h"

namespace penstock::admin {

namespace {

namespace json = boost::json;
using catalog::FieldKind;

// Supavisor's own fields, which are accepted beside ours (tenant_json.cc says what each means here).
constexpr std::string_view kSupavisorTenant = R"json({
  "external_id": {"type": "string", "maxLength": 63, "description": "The tenant's id, as in the path."},
  "db_host": {"type": "string", "minLength": 1, "description": "The first of `hosts`."},
  "db_port": {"type": "integer", "minimum": 1, "maximum": 65535},
  "db_database": {"type": "string", "minLength": 1, "nullable": true, "description": "`upstream_database`"},
  "ip_version": {"type": "string", "enum": ["auto", "v4", "v6", null], "nullable": true},
  "upstream_ssl": {"type": "boolean", "nullable": true, "description": "`upstream_tls`: require, or disable."},
  "upstream_verify": {"type": "string", "enum": ["none", "peer", null], "nullable": true,
    "description": "peer: `upstream_tls` is verify-full."},
  "enforce_ssl": {"type": "boolean", "nullable": true, "description": "`require_tls`"},
  "require_user": {"type": "boolean", "nullable": true,
    "description": "true: only listed users; false: `auth_query` finds their secrets."},
  "default_pool_size": {"type": "integer", "minimum": 1, "maximum": 100000, "nullable": true,
    "description": "`pool_size`"},
  "default_max_clients": {"type": "integer", "minimum": 0, "maximum": 10000000, "nullable": true,
    "description": "`max_clients`"},
  "sni_hostname": {"type": "string", "nullable": true, "description": "The first of `sni_names`."}
})json";

constexpr std::string_view kSupavisorUser = R"json({
  "db_user": {"type": "string", "minLength": 1, "maxLength": 63, "description": "`upstream_user`, and `name`."},
  "db_user_alias": {"type": "string", "maxLength": 63, "nullable": true, "description": "`name`, if it is another."},
  "db_password": {"type": "string", "minLength": 1, "description": "`secret`. Never shown."},
  "is_manager": {"type": "boolean", "nullable": true, "description": "The tenant's `auth_user`."},
  "mode_type": {"type": "string", "enum": ["transaction", "session", "statement", null], "nullable": true,
    "description": "`pool_mode`"},
  "pool_checkout_timeout": {"type": "integer", "minimum": 0, "nullable": true,
    "description": "Milliseconds; `query_wait_timeout`."}
})json";

constexpr std::string_view kOthers = R"json({
  "Problem": {"type": "object", "required": ["title", "status"], "description": "RFC 9457", "properties": {
    "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
    "detail": {"type": "string"}, "hint": {"type": "string"}, "error": {"type": "string"},
    "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}}},
  "PutTenant": {"type": "object", "additionalProperties": false, "required": ["tenant"], "properties": {
    "tenant": {"$ref": "#/components/schemas/TenantWish"}}},
  "PutUser": {"type": "object", "additionalProperties": false, "required": ["user"], "properties": {
    "user": {"$ref": "#/components/schemas/UserWish"}}},
  "PatchTenant": {"type": "object", "additionalProperties": false, "properties": {
    "tenant": {"$ref": "#/components/schemas/TenantWish"},
    "banned": {"type": "boolean"}, "ban_reason": {"type": "string", "nullable": true},
    "banned_until": {"type": "string", "nullable": true}}},
  "PutCluster": {"type": "object", "additionalProperties": false, "required": ["cluster"], "properties": {"cluster": {
    "type": "object", "additionalProperties": false, "properties": {
      "id": {}, "alias": {}, "inserted_at": {}, "updated_at": {},
      "active": {"type": "boolean", "description": "false: nobody is led to any of its tenants. When not given: true."},
      "cluster_tenants": {"type": "array", "description": "All of them. Not given: those there are.", "items": {
        "type": "object", "required": ["tenant_external_id"], "additionalProperties": false, "properties": {
          "id": {}, "cluster_alias": {}, "inserted_at": {}, "updated_at": {},
          "type": {"type": "string", "enum": ["write", "read"], "description": "`cluster_role`"},
          "active": {"type": "boolean", "description": "Not `cluster_standby`. When not given: true."},
          "tenant_external_id": {"type": "string", "minLength": 1, "maxLength": 63}}}}}}}},
  "Cluster": {"type": "object", "properties": {
    "id": {"type": "string"}, "alias": {"type": "string"},
    "active": {"type": "boolean", "description": "Whether any of its tenants is."},
    "inserted_at": {"type": "string"}, "updated_at": {"type": "string"},
    "cluster_tenants": {"type": "array", "items": {"type": "object", "properties": {
      "id": {"type": "string"}, "type": {"type": "string"}, "active": {"type": "boolean"},
      "cluster_alias": {"type": "string"}, "tenant_external_id": {"type": "string"},
      "inserted_at": {"type": "string"}, "updated_at": {"type": "string"}}}}}},
  "ClusterAnswer": {"type": "object", "required": ["data"], "properties": {
    "data": {"$ref": "#/components/schemas/Cluster"}}},
  "ClusterList": {"type": "object", "required": ["data"], "properties": {
    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Cluster"}}}},
  "Credentials": {"type": "object", "additionalProperties": false, "required": ["db_user", "db_password"], "properties": {
    "db_user": {"type": "string", "minLength": 1, "maxLength": 63},
    "db_password": {"type": "string", "minLength": 1}}},
  "TenantAnswer": {"type": "object", "required": ["data"], "properties": {
    "data": {"$ref": "#/components/schemas/Tenant"}}},
  "TenantList": {"type": "object", "required": ["data"], "properties": {
    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Tenant"}},
    "next": {"type": "string", "nullable": true, "description": "`after` of the next page; null: there is none."}}},
  "UserAnswer": {"type": "object", "required": ["data"], "properties": {
    "data": {"$ref": "#/components/schemas/User"}}},
  "UserList": {"type": "object", "required": ["data"], "properties": {
    "data": {"type": "array", "items": {"$ref": "#/components/schemas/User"}}}},
  "AuditList": {"type": "object", "required": ["data"], "properties": {
    "next": {"type": "integer", "nullable": true, "description": "`before` of the next page; null: there is none."}, "data": {"type": "array", "items": {
    "type": "object", "properties": {
      "number": {"type": "integer"}, "at": {"type": "string"}, "actor": {"type": "string"},
      "origin": {"type": "string"}, "action": {"type": "string"}, "tenant": {"type": "string"},
      "fields": {"type": "array", "items": {"type": "string"}, "description": "That changed; or what was ordered for: \"pools.USER.DATABASE\". The first 100, and how many more."},
      "revision": {"type": "integer", "description": "0: nothing in the catalog has changed."}}}}}},
  "NetworkBans": {"type": "object", "required": ["banned_ipv4_addresses"], "properties": {
    "banned_ipv4_addresses": {"type": "array", "items": {"type": "object", "properties": {
      "banned_address": {"type": "string", "description": "IPv4 or IPv6."},
      "banned_until": {"type": "integer", "description": "Seconds since 1970."}}}}}},
  "NetworkBanLift": {"type": "object", "additionalProperties": false, "required": ["ipv4_addresses"], "properties": {
    "ipv4_addresses": {"type": "array", "maxItems": 1000, "items": {"type": "string", "maxLength": 64}, "description": "IPv4 or IPv6."}}},
  "PauseAnswer": {"type": "object", "required": ["data"], "properties": {"data": {"type": "object", "properties": {
    "state": {"type": "string", "enum": ["active", "pausing", "paused"]},
    "servers": {"type": "integer", "description": "Connections to servers that are busy still."}}}}},
  "DrainAnswer": {"type": "object", "required": ["data"], "properties": {"data": {"type": "object", "properties": {
    "clients": {"type": "integer"}}}}},
  "TenantDocument": {"type": "object", "required": ["tenants"], "properties": {
    "tenants": {"type": "array", "items": {"type": "object"}}}},
  "ApplyWish": {"type": "object", "additionalProperties": false, "required": ["tenants"], "properties": {
    "tenants": {"type": "array", "items": {"type": "object"},
      "description": "Each with `id`, its fields and `users`, as GET /api/export gives them."},
    "prune": {"type": "boolean", "description": "Removes tenants and users that are not in `tenants`."},
    "expected": {"type": "object", "nullable": true, "additionalProperties": {"type": "integer", "minimum": 0},
      "description": "Revision by tenant, as a dry run has told them: nothing changes when another one is there."}}},
  "PlanAnswer": {"type": "object", "required": ["data"], "properties": {"data": {"type": "object", "properties": {
    "changes": {"type": "array", "items": {"type": "object", "properties": {
      "action": {"type": "string", "enum": ["add", "change", "remove"]}, "tenant": {"type": "string"},
      "revision": {"type": "integer"}, "fields": {"type": "array", "items": {"type": "object"}},
      "users": {"type": "array", "items": {"type": "object"}}}}},
    "strays": {"type": "array", "items": {"type": "object"},
      "description": "In the catalog and not in the document; they stay."},
    "warnings": {"type": "array", "items": {"type": "string"}}}}}},
  "Result": {"type": "object", "required": ["result"], "properties": {"result": {"type": "string"}}},
  "Unready": {"type": "object", "required": ["status", "failed_checks"], "properties": {
    "status": {"type": "string"}, "timestamp": {"type": "string"},
    "failed_checks": {"type": "array", "items": {"type": "string"}},
    "warnings": {"type": "array", "items": {"type": "string"}}}},
  "Ready": {"type": "object", "required": ["status", "warnings"], "properties": {
    "status": {"type": "string"}, "timestamp": {"type": "string"},
    "warnings": {"type": "array", "items": {"type": "string"}}}},
  "Version": {"type": "object", "required": ["version"], "properties": {
    "name": {"type": "string"}, "version": {"type": "string"}, "started_at": {"type": "string"},
    "uptime_seconds": {"type": "integer"}, "workers": {"type": "integer"}}},
  "PoolList": {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": {
    "type": "object", "properties": {
      "tenant": {"type": "string"}, "user": {"type": "string"}, "database": {"type": "string"},
      "pool_mode": {"type": "string"},
      "state": {"type": "string", "enum": ["active", "pausing", "paused"]}, "size": {"type": "integer"},
      "clients_waiting": {"type": "integer"}, "longest_wait_ms": {"type": "integer"},
      "servers": {"type": "object", "additionalProperties": {"type": "integer"}},
      "last_error": {"type": "string", "nullable": true}}}}}},
  "ClientList": {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": {
    "type": "object", "properties": {
      "id": {"type": "string"}, "tenant": {"type": "string"}, "user": {"type": "string"},
      "database": {"type": "string"}, "application_name": {"type": "string"}, "address": {"type": "string"},
      "state": {"type": "string"}, "tls": {"type": "string"}, "worker": {"type": "integer"}}}}}},
  "SlowQueryList": {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": {
    "type": "object", "properties": {
      "at": {"type": "string"}, "client": {"type": "string"}, "tenant": {"type": "string"},
      "user": {"type": "string"}, "database": {"type": "string"}, "application_name": {"type": "string"},
      "duration_ms": {"type": "number", "description": "At the server."},
      "wait_ms": {"type": "number", "description": "For a server, before."},
      "rows": {"type": "integer"}, "bytes": {"type": "integer"}, "statements": {"type": "integer"},
      "fingerprint": {"type": "string", "nullable": true},
      "query": {"type": "string", "nullable": true, "description": "Without constants."}}}}}},
  "ServerList": {"type": "object", "required": ["data"], "properties": {"data": {"type": "array", "items": {
    "type": "object", "properties": {
      "id": {"type": "string"}, "tenant": {"type": "string"}, "user": {"type": "string"},
      "database": {"type": "string"}, "host": {"type": "string"}, "state": {"type": "string"},
      "process_id": {"type": "integer"}, "tls": {"type": "string"}, "worker": {"type": "integer"}}}}}},
  "Configuration": {"type": "object", "required": ["data"], "properties": {"data": {"type": "object",
    "additionalProperties": {"type": "object", "properties": {
      "value": {"type": "string", "description": "As in the TOML file."}, "origin": {"type": "string"},
      "reloadable": {"type": "boolean"}, "meaning": {"type": "string"}}}}}}
})json";

json::object schema_of(FieldKind kind) {
  switch (kind) {
    case FieldKind::kInteger:
      return {{"type", "integer"}};
    case FieldKind::kBoolean:
      return {{"type", "boolean"}};
    case FieldKind::kList:
      return {{"type", "array"}, {"items", {{"type", "string"}}}};
    case FieldKind::kMap:
      return {{"type", "object"}};  // of texts, numbers and switches
    default:
      return {{"type", "string"}};
  }
}

// A property that may be null, which means: not set.
template <class Spec>
void add_fields(json::object& properties, const catalog::FieldTable<Spec>& table, bool for_writing) {
  for (const auto& field : table) {
    const bool is_secret = field.kind == FieldKind::kSecret;
    json::object schema =
        is_secret && !for_writing ? json::object{{"type", "object"}} : schema_of(field.kind);
    schema["nullable"] = true;
    std::string meaning =
        field.meaning + " Allowed: " + field.allowed + ". When not set: " + field.preset + ".";
    if (for_writing && !field.operators.words.empty()) meaning += " " + field.operators.words;
    schema["description"] = meaning;
    if (is_secret && for_writing) schema["writeOnly"] = true;
    properties[field.name] = std::move(schema);
  }
}

json::object object_schema(json::object properties, json::array required = {}) {
  json::object schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

// What was said of a field before wins: ours over Supavisor's.
void add_missing(json::object& properties, std::string_view more, bool with_password) {
  const json::value parsed = json::parse({more.data(), more.size()});
  for (const auto& member : parsed.get_object()) {
    if (member.key() == "db_password" && !with_password) continue;
    if (!properties.contains(member.key())) properties[member.key()] = member.value();
  }
}

json::object build() {
  json::object all = json::parse({kOthers.data(), kOthers.size()}).as_object();
  for (const bool for_writing : {true, false}) {
    json::object user, tenant;
    add_fields(user, catalog::user_fields(), for_writing);
    user["name"] = {{"type", "string"}, {"maxLength", 63}, {"description", "As clients write it."}};
    if (for_writing) {
      user["keep_previous"] = {
          {"type", "string"},
          {"nullable", true},
          {"description",
           "With a new secret: the old one stays valid beside it for so long, such as \"1d\"; "
           "\"0\": until `previous_secret` is null. Otherwise the old one ends at once."}};
    }
    add_missing(user, kSupavisorUser, for_writing);
    add_fields(tenant, catalog::tenant_fields(), for_writing);
    add_missing(tenant, kSupavisorTenant, for_writing);
    // Clients of Supavisor's API send milliseconds, as a number.
    for (const char* time : {"client_idle_timeout", "client_heartbeat_interval"}) {
      if (for_writing) tenant[time].as_object().erase("type");
    }
    const std::string_view name = for_writing ? "UserWish" : "User";
    tenant["users"] = {{"type", "array"}, {"items", reference_to(name)}};
    if (!for_writing) {
      for (const char* name_of : {"id", "inserted_at", "updated_at"}) tenant[name_of] = {{"type", "string"}};
      tenant["revision"] = {{"type", "integer"}};
      tenant["paused"] = {{"type", "boolean"}, {"description", "Its clients wait until it is resumed."}};
    }
    all[name] = object_schema(std::move(user));
    all[for_writing ? "TenantWish" : "Tenant"] = object_schema(std::move(tenant));
  }
  return all;
}

}  // namespace

const json::object& schemas() {
  static const json::object kSchemas = build();
  return kSchemas;
}

}  // namespace penstock::admin
