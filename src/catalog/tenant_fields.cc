#include "catalog/tenant_fields.h"

#include <algorithm>

#include "catalog/field_checks.h"
#include "catalog/field_makers.h"
#include "catalog/host_port.h"

namespace penstock::catalog {

namespace {

using model::AuthMethod;
using model::PoolMode;
using model::TenantSpec;
using model::TlsMode;
using model::UserSpec;

constexpr int kUpstreamsMax = 100'000;
constexpr int kClientsMax = 10'000'000;
constexpr int kBytesMax = 2'000'000'000;

// What is the operator's alone: routes, which could take other tenants' clients; bans and limits, which may be there
// against the tenant's will; files of this machine.
constexpr std::string_view kOfTheOperator[] = {"upstream_tls_ca_file",
                                               "upstream_tls_cert_file",
                                               "upstream_tls_key_file",
                                               "sni_names",
                                               "databases",
                                               "cluster",
                                               "cluster_role",
                                               "cluster_standby",
                                               "banned",
                                               "ban_reason",
                                               "banned_until",
                                               "banned_at",
                                               "max_clients",
                                               "max_upstreams",
                                               "max_waiting_clients",
                                               "max_pools",
                                               "connects_per_second",
                                               "queries_per_second",
                                               "bytes_per_second"};

TenantField hosts_field() {
  return TenantField{
      .name = "hosts",
      .kind = FieldKind::kList,
      .meaning = "Where Postgres listens. Several hosts are tried in turn.",
      .allowed = std::string(kHostsAllowed),
      .preset = "none: at least one is needed",
      .get =
          [](const TenantSpec& tenant) {
            Values values;
            for (const model::HostPort& host : tenant.hosts) values.push_back(to_text(host));
            return values;
          },
      .set = [](TenantSpec& tenant, const Values& values) -> base::Status {
        std::vector<model::HostPort> hosts;
        for (const std::string& value : values) {
          base::Result<model::HostPort> host = parse_host_port(value);
          if (!host) return base::fail(host.error());
          hosts.push_back(*std::move(host));
        }
        tenant.hosts = std::move(hosts);
        return {};
      },
      .short_option = "--host",
      .operators = {.words = "Only the operator changes Unix sockets in it.",
                    .covers =
                        [](std::string_view host) { return host.starts_with('/') || host.starts_with('@'); }},
  };
}

// The limits and times that tenants and users share. PENSTOCK_MEMBER names a member for a maker.
// NOLINTNEXTLINE(bugprone-macro-parentheses): a lambda
#define PENSTOCK_MEMBER(path) [](auto& spec) -> auto& { return spec.path; }

template <class Spec>
void add_overrides(FieldTable<Spec>& table, const std::string& outer) {
  table.push_back(make::optional_word<Spec, PoolMode, PENSTOCK_MEMBER(overrides.pool_mode)>(
      "pool_mode", outer,
      "When a server goes back to the pool: after each transaction, when the client leaves, or after each "
      "statement."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.pool_size), 1, kUpstreamsMax>(
      "pool_size", outer, "Server connections of one pool (one user in one database)."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.min_pool_size), 0, kUpstreamsMax>(
      "min_pool_size", outer, "Server connections a pool in use keeps open even when they are idle."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.reserve_pool_size), 0, kUpstreamsMax>(
      "reserve_pool_size", outer, "Server connections a pool may add when clients have waited too long."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.max_clients), 0, kClientsMax>(
      "max_clients", outer, "Clients logged in at the same time; 0 is no limit."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.max_upstreams), 0, kUpstreamsMax>(
      "max_upstreams", outer, "Server connections over all pools together; 0 is no limit."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.max_waiting_clients), 0, kClientsMax>(
      "max_waiting_clients", outer, "Clients that may wait for a server of one pool; 0 is no limit."));
  table.push_back(make::duration<Spec, PENSTOCK_MEMBER(overrides.query_timeout)>(
      "query_timeout", outer, "The longest a query may run; 0 is no limit."));
  table.push_back(make::duration<Spec, PENSTOCK_MEMBER(overrides.query_wait_timeout)>(
      "query_wait_timeout", outer, "The longest a client waits for a server; 0 is no limit."));
  table.push_back(make::duration<Spec, PENSTOCK_MEMBER(overrides.transaction_timeout)>(
      "transaction_timeout", outer, "The longest a transaction may last; 0 is no limit."));
  table.push_back(make::duration<Spec, PENSTOCK_MEMBER(overrides.idle_transaction_timeout)>(
      "idle_transaction_timeout", outer,
      "The longest a client may sit idle inside a transaction; 0 is no limit."));
  table.push_back(make::duration<Spec, PENSTOCK_MEMBER(overrides.client_idle_timeout)>(
      "client_idle_timeout", outer,
      "The longest a client may sit idle outside a transaction; 0 is no limit."));
  table.push_back(make::duration<Spec, PENSTOCK_MEMBER(overrides.slow_query)>(
      "slow_query", outer, "Queries that run at least so long are written to the log; 0 is none."));
  table.push_back(make::integer<Spec, PENSTOCK_MEMBER(overrides.pool_size_percent), 1, 100>(
      "pool_size_percent", outer.starts_with("the server") ? "pool_size counts" : outer,
      "Like pool_size, but as a share of the connections that the server has for ordinary roles."));
}

template <auto Member, auto Check>
TenantField tenant_text(std::string name, std::string_view allowed, std::string preset, std::string meaning) {
  return make::text<TenantSpec, Member, Check>(std::move(name), std::string(allowed), std::move(preset),
                                               std::move(meaning));
}

TenantField with_short_option(TenantField field, std::string option) {
  field.short_option = std::move(option);
  return field;
}

void add_server_side(FieldTable<TenantSpec>& table) {
  table.push_back(hosts_field());
  table.push_back(
      make::word<TenantSpec, model::IpVersion, PENSTOCK_MEMBER(ip_version), model::IpVersion::kAuto>(
          "ip_version", "Which addresses of a host name are used."));
  table.push_back(with_short_option(tenant_text<PENSTOCK_MEMBER(upstream_database), check_name>(
                                        "upstream_database", kNameAllowed, "the database the client names",
                                        "The database on the server, whatever the client calls it."),
                                    "--database"));
  table.push_back(
      with_short_option(make::word<TenantSpec, TlsMode, PENSTOCK_MEMBER(upstream_tls), TlsMode::kPrefer>(
                            "upstream_tls", "TLS towards the server, as libpq's sslmode."),
                        "--tls"));
  table.push_back(tenant_text<PENSTOCK_MEMBER(upstream_tls_ca_file), check_path>(
      "upstream_tls_ca_file", kPathAllowed, "the system's certificates",
      "Certificates that the server's certificate must come from (verify-ca, verify-full)."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(upstream_tls_ca), check_pem>(
      "upstream_tls_ca", kPemAllowed, "upstream_tls_ca_file",
      "Certificates that the server's certificate must come from, themselves instead of a file."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(upstream_tls_cert_file), check_path>(
      "upstream_tls_cert_file", kPathAllowed, "none",
      "Our certificate towards the server; needs upstream_tls_key_file."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(upstream_tls_key_file), check_path>(
      "upstream_tls_key_file", kPathAllowed, "none", "The key of upstream_tls_cert_file."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(connect_query), check_query>(
      "connect_query", kQueryAllowed, "none",
      "Run on every new server connection, and again where a client has reset it. A connection on which it "
      "fails is not used. What it sets of the settings that the server reports is overridden by what each "
      "client has."));
}

void add_client_side(FieldTable<TenantSpec>& table) {
  table.push_back(make::list<TenantSpec, PENSTOCK_MEMBER(sni_names), check_server_name>(
      "sni_names", std::string(kServerNameAllowed), "none",
      "TLS server names that lead to this tenant, when the user name does not say which."));
  table.push_back(make::list<TenantSpec, PENSTOCK_MEMBER(databases), check_name>(
      "databases", std::string(kNameAllowed), "none",
      "Database names that lead to this tenant, when neither user name nor TLS server name say which."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(cluster), check_name>(
      "cluster", kNameAllowed, "none",
      "The cluster the tenant is a member of. Users named USER.cluster.NAME are led to the first of its "
      "members, by id, "
      "that may write and is no standby."));
  table.push_back(
      make::word<TenantSpec, model::ClusterRole, PENSTOCK_MEMBER(cluster_role), model::ClusterRole::kWrite>(
          "cluster_role", "What the tenant is in its cluster."));
  table.push_back(make::boolean<TenantSpec, PENSTOCK_MEMBER(cluster_standby)>(
      "cluster_standby", "Nobody is led here by the cluster's name."));
  table.push_back(
      with_short_option(make::word<TenantSpec, AuthMethod, PENSTOCK_MEMBER(auth_method), AuthMethod::kScram>(
                            "auth_method", "How clients prove who they are."),
                        "--auth"));
  table.push_back(make::boolean<TenantSpec, PENSTOCK_MEMBER(require_tls)>(
      "require_tls", "Refuse clients that do not use TLS (Unix sockets excepted)."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(auth_query), check_auth_query>(
      "auth_query", kAuthQueryAllowed, "none: only listed users may log in",
      "Reads the secret of a user who is not listed, as auth_user: one row of name and secret."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(auth_user), check_name>(
      "auth_user", kNameAllowed, "none", "The listed user who runs auth_query."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(auth_database), check_name>(
      "auth_database", kNameAllowed, "upstream_database, or the database the client names",
      "The database in which auth_query runs."));
  table.push_back(make::boolean<TenantSpec, PENSTOCK_MEMBER(require_user)>(
      "require_user", "Only listed users may log in, whatever auth_query knows."));
  table.push_back(make::list<TenantSpec, PENSTOCK_MEMBER(allow_list), check_network>(
      "allow_list", std::string(kNetworkAllowed), "every address",
      "Networks that clients may come from (Unix sockets are always allowed)."));
  table.push_back(with_short_option(
      make::map<TenantSpec, PENSTOCK_MEMBER(default_parameters), check_parameter>(
          "default_parameters", std::string(kParametersAllowed),
          "Start-up parameters that a client gets unless it sends its own, such as search_path=app."),
      "--parameter"));
  table.push_back(make::map<TenantSpec, PENSTOCK_MEMBER(default_parameter_status), check_flag>(
      "default_parameter_status", std::string(kFlagsAllowed),
      "What a client is told of the server when none can be asked yet, such as server_version=17.2."));
  table.push_back(make::duration<TenantSpec, PENSTOCK_MEMBER(client_heartbeat_interval)>(
      "client_heartbeat_interval", "off", "How often an idle client is sent a sign of life."));
}

// Of the tenant's clients together, whichever worker they are on.
void add_rates(FieldTable<TenantSpec>& table) {
  table.push_back(make::integer<TenantSpec, PENSTOCK_MEMBER(max_pools), 0, kUpstreamsMax>(
      "max_pools", "no limit", "Pools of the tenant at the same time; 0 is no limit."));
  table.push_back(make::integer<TenantSpec, PENSTOCK_MEMBER(connects_per_second), 0, kClientsMax>(
      "connects_per_second", "no limit", "Log-ins of clients in a second; 0 is no limit."));
  table.push_back(make::integer<TenantSpec, PENSTOCK_MEMBER(queries_per_second), 0, kClientsMax>(
      "queries_per_second", "no limit", "Queries in a second; 0 is no limit."));
  table.push_back(make::integer<TenantSpec, PENSTOCK_MEMBER(bytes_per_second), 0, kBytesMax>(
      "bytes_per_second", "no limit", "Bytes from and to clients in a second; 0 is no limit."));
}

void add_ban(FieldTable<TenantSpec>& table) {
  table.push_back(make::boolean<TenantSpec, PENSTOCK_MEMBER(banned)>(
      "banned", "Ends all clients of the tenant and lets nobody in, until banned_until."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(ban_reason), check_reason>(
      "ban_reason", kReasonAllowed, "none", "What clients are told while the tenant is banned."));
  table.push_back(make::moment<TenantSpec, PENSTOCK_MEMBER(banned_until)>(
      "banned_until", "until banned is false again", "When the ban ends by itself."));
  table.push_back(
      make::moment<TenantSpec, PENSTOCK_MEMBER(banned_at)>("banned_at", "not known", "When the ban began."));
}

// What other tools set and nothing here acts on yet.
void add_reserved(FieldTable<TenantSpec>& table) {
  const std::size_t first = table.size();
  table.push_back(tenant_text<PENSTOCK_MEMBER(availability_zone), check_name>(
      "availability_zone", kNameAllowed, "none", "Where the tenant's pools should be."));
  table.push_back(
      make::boolean<TenantSpec, PENSTOCK_MEMBER(use_jit)>("use_jit", "Log-ins with tokens of limited life."));
  table.push_back(tenant_text<PENSTOCK_MEMBER(jit_api_url), check_url>("jit_api_url", kUrlAllowed, "none",
                                                                       "Who is asked about such tokens."));
  table.push_back(make::map<TenantSpec, PENSTOCK_MEMBER(feature_flags), check_flag>(
      "feature_flags", std::string(kFlagsAllowed), "Switches of Supavisor."));
  for (std::size_t i = first; i < table.size(); ++i) table[i].standing = Standing::kReserved;
}

}  // namespace

const FieldTable<TenantSpec>& tenant_fields() {
  static const FieldTable<TenantSpec> kTable = [] {
    FieldTable<TenantSpec> table;
    add_server_side(table);
    add_client_side(table);
    add_ban(table);
    add_overrides(table, "the server's setting");
    add_rates(table);
    add_reserved(table);
    for (TenantField& field : table) {
      if (std::ranges::find(kOfTheOperator, field.name) == std::end(kOfTheOperator)) continue;
      field.operators = {.words = "Only the operator changes it.",
                         .covers = [](std::string_view) { return true; }};
    }
    return table;
  }();
  return kTable;
}

const FieldTable<UserSpec>& user_fields() {
  static const FieldTable<UserSpec> kTable = [] {
    FieldTable<UserSpec> table;
    table.push_back(make::secret<UserSpec, PENSTOCK_MEMBER(secret), check_secret>(
        "secret", std::string(kSecretAllowed), "none: the tenant's auth_query is asked",
        "What the client must prove to know."));
    table.push_back(make::secret<UserSpec, PENSTOCK_MEMBER(previous_secret), check_secret>(
        "previous_secret", std::string(kSecretAllowed), "none",
        "The secret before, while a password is being changed: as good as secret, for clients and (unless "
        "there is "
        "an upstream_secret) towards the server."));
    table.push_back(make::moment<UserSpec, PENSTOCK_MEMBER(previous_secret_until)>(
        "previous_secret_until", "until previous_secret is unset",
        "When clients can no longer log in with previous_secret."));
    table.push_back(make::text<UserSpec, PENSTOCK_MEMBER(upstream_user), check_name>(
        "upstream_user", std::string(kNameAllowed), "the user's own name",
        "The role to log in as on the server."));
    table.push_back(make::secret<UserSpec, PENSTOCK_MEMBER(upstream_secret), check_secret>(
        "upstream_secret", std::string(kSecretAllowed), "secret, or the keys of the client's own login",
        "What Penstock proves to the server."));
    table.push_back(make::secret<UserSpec, PENSTOCK_MEMBER(previous_upstream_secret), check_secret>(
        "previous_upstream_secret", std::string(kSecretAllowed), "none",
        "Tried when the server refuses upstream_secret, while its password is being changed."));
    table.push_back(make::optional_word<UserSpec, AuthMethod, PENSTOCK_MEMBER(auth_method)>(
        "auth_method", "the tenant's auth_method", "How this user proves who they are."));
    table.back().short_option = "--auth";
    add_overrides(table, "the tenant's setting");
    table.push_back(make::integer<UserSpec, PENSTOCK_MEMBER(guaranteed_pool_size), 0, kUpstreamsMax>(
        "guaranteed_pool_size", "none",
        "Of the tenant's max_upstreams, server connections that its other users cannot take."));
    return table;
  }();
  return kTable;
}

#undef PENSTOCK_MEMBER

}  // namespace penstock::catalog
